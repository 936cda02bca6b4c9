//! Compression of archives: gzip here, xz and Zstandard by the system's programs.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

const BUFFER_BYTES: usize = 256 << 10;

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    /// By a program: `xz` or `zstd`.
    By(&'static str),
}

/// What an archive holds, uncompressed.
pub(super) fn unpacked(file: File, packing: Packing) -> io::Result<Box<dyn Read>> {
    Ok(match packing {
        Packing::Plain => Box::new(BufReader::with_capacity(BUFFER_BYTES, file)),
        Packing::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, file))),
        Packing::By(program) => Box::new(Unpacker::new(program, file)?),
    })
}

fn start(command: &mut Command, program: &str) -> io::Result<Child> {
    command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::Error::other(format!(
            "it is compressed with {program}, which is not installed here (Debian's package is {}); or unpack it first",
            if program == "xz" { "xz-utils" } else { program }
        )),
        _ => io::Error::new(error.kind(), format!("{program}: {error}")),
    })
}

struct Unpacker {
    program: &'static str,
    child: Child,
    out: ChildStdout,
}

impl Unpacker {
    fn new(program: &'static str, file: File) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(["-q", "-d", "-c"]).stdin(file).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = start(&mut command, program)?;
        let out = child.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
        Ok(Self { program, child, out })
    }
}

impl Read for Unpacker {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.out.read(buffer)? {
            // What it gave is all there is only if the program says so.
            0 if !buffer.is_empty() && !self.child.wait()?.success() => {
                Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} cannot unpack it", self.program)))
            }
            length => Ok(length),
        }
    }
}

impl Drop for Unpacker {
    fn drop(&mut self) {
        // It may still be writing what nobody reads.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Compresses into a file.
pub(super) enum Packer {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
    By { program: &'static str, child: Child, input: ChildStdin },
}

impl Packer {
    pub(super) fn new(file: File, packing: Packing) -> io::Result<Self> {
        let buffered = |file| BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(match packing {
            Packing::Plain => Self::Plain(buffered(file)),
            Packing::Gzip => Self::Gzip(Box::new(GzEncoder::new(buffered(file), Compression::default()))),
            Packing::By(program) => {
                let mut command = Command::new(program);
                command.args(["-q", "-c", "-T0"]).stdin(Stdio::piped()).stdout(file).stderr(Stdio::null());
                let mut child = start(&mut command, program)?;
                let input = child.stdin.take().ok_or_else(|| io::Error::other("no pipe"))?;
                Self::By { program, child, input }
            }
        })
    }

    /// All of it is in the file, or this is an error.
    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut out) => out.flush(),
            Self::Gzip(out) => out.finish()?.flush(),
            Self::By { program, mut child, input } => {
                drop(input);
                match child.wait()?.success() {
                    true => Ok(()),
                    false => Err(io::Error::other(format!("{program} failed"))),
                }
            }
        }
    }
}

impl Write for Packer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gzip(out) => out.write(bytes),
            Self::By { input, .. } => input.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gzip(out) => out.flush(),
            Self::By { input, .. } => input.flush(),
        }
    }
}
