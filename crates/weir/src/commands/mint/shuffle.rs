//! `weir mint shuffle`

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::output::{Lines, object};
use super::{Common, Failure};

const AFTER_HELP: &str = "\
Every order is equally likely. All items are held in memory.

Examples:
  weir mint shuffle ada grace alan             three names in a random order
  weir mint shuffle --lines names.txt -n 2     two lines of a file, drawn without putting back
  ls | weir mint shuffle                       lines of standard input";

/// Items or lines in a random order
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The items; without any, the lines of standard input
    items: Vec<String>,
    /// The lines of a file instead, `-` for standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "items")]
    lines: Option<PathBuf>,
    /// Only the first N of the order
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<usize>,
    /// Items end with a zero byte and not with a newline, read and written
    #[arg(short = '0', long, conflicts_with = "json")]
    null: bool,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    args.common.ensure_ready()?;
    let terminator = if args.null { 0 } else { b'\n' };
    let text = args.text()?;
    let mut items: Vec<&[u8]> = match &text {
        Some(text) => split(text, terminator),
        None => args.items.iter().map(String::as_bytes).collect(),
    };
    weir_mint::shuffle(&mut items)?;
    let mut lines = Lines::new(args.common.json)?;
    for item in items.iter().take(args.count.unwrap_or(usize::MAX)) {
        if args.common.json {
            let item = String::from_utf8_lossy(item);
            lines.write("", || object([("item", Value::from(&*item))]))?;
        } else {
            lines.write_raw(item, terminator)?;
        }
    }
    lines.flush()?;
    Ok(())
}

impl Args {
    /// What is to be split into items, unless they came as arguments.
    fn text(&self) -> Result<Option<Vec<u8>>, Failure> {
        let mut text = Vec::new();
        match &self.lines {
            Some(path) if path != Path::new("-") => {
                let read = File::open(path).and_then(|mut file| file.read_to_end(&mut text));
                read.map_err(|error| Failure::Input(format!("{}: {error}", path.display())))?;
            }
            None if !self.items.is_empty() => return Ok(None),
            _ => {
                let read = io::stdin().lock().read_to_end(&mut text);
                read.map_err(|error| Failure::Input(format!("standard input: {error}")))?;
            }
        }
        Ok(Some(text))
    }
}

/// The pieces between terminators; the last piece may lack its own.
fn split(text: &[u8], terminator: u8) -> Vec<&[u8]> {
    let text = text.strip_suffix(&[terminator]).unwrap_or(text);
    if text.is_empty() { Vec::new() } else { text.split(|byte| *byte == terminator).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_line_counts_with_and_without_its_end() {
        let two = [b"a".as_slice(), b"b"];
        assert_eq!(split(b"a\nb\n", b'\n'), two);
        assert_eq!(split(b"a\nb", b'\n'), two);
        assert_eq!(split(b"a\0b\0", 0), two);
        assert_eq!(split(b"a\n\n", b'\n'), [b"a".as_slice(), b""]);
        assert_eq!(split(b"", b'\n'), Vec::<&[u8]>::new());
    }
}
