//! Prints every fact that this host gives. `cargo run -p weir-kernel --example host [DIR]`

use std::io::{self, Write};
use std::path::Path;

use weir_kernel::host::{Host, Root};

fn main() -> io::Result<()> {
    let root = match std::env::args_os().nth(1) {
        Some(dir) => Root::at(Path::new(&dir)).map_err(|why| io::Error::other(why.to_string()))?,
        None => Root::live(),
    };
    writeln!(io::stdout(), "{:#?}\ngeneration: {:?}", Host::read(&root), weir_kernel::generation())
}
