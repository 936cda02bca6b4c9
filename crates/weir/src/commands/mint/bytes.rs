//! `weir mint bytes`

use std::io::{self, Write};

use clap::ValueEnum;
use serde_json::Value;

use super::output::{Lines, object, stdout, stdout_is_terminal};
use super::progress::{Progress, Unit};
use super::{Common, Count, Failure};

const AFTER_HELP: &str = "\
Sizes: B, K, M, G, T and KiB to TiB count in 1024, kB to TB in 1000. Raw bytes go out one after the other, with nothing
between; as text, each piece is a line.

Examples:
  weir mint bytes 512 > seed                     512 raw bytes
  weir mint bytes 32 --format hex                a 256-bit key for a configuration file
  weir mint bytes 1T | pv > /dev/sdX             at the speed of the cipher, with constant memory
  weir mint bytes 16 -n 3 --json                 three pieces as JSON, in hexadecimal";

/// A buffer that stays in a core's second-level cache and is worth a system call.
const BUFFER_BYTES: usize = 256 << 10;
/// The longest piece that is written as JSON, which holds it whole.
const MOST_JSON_BYTES: u64 = 1 << 20;

/// Random bytes, raw or as text
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// How many, such as 32, 64KiB or 1M
    #[arg(value_parser = weir_mint::parse_size)]
    size: u64,
    /// How to write them
    #[arg(short, long, value_enum, default_value_t = Format::Raw)]
    format: Format,
    /// Write raw bytes even to a terminal
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    count: Count,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// As they are
    Raw,
    /// Hexadecimal digits, in lower case
    Hex,
    /// Base64 (RFC 4648 section 4)
    Base64,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.common.json {
        return as_json(args);
    }
    if args.format == Format::Raw && !args.force && stdout_is_terminal() {
        return Err(Failure::Usage(
            "raw bytes would garble the terminal; send them to a file or a pipe, add --format hex, or insist with --force"
                .to_owned(),
        ));
    }
    let total = args.size.checked_mul(args.count.count);
    let total = total.ok_or_else(|| Failure::Usage("so many bytes do not fit 64 bits".to_owned()))?;
    args.common.ensure_ready()?;
    let mut progress = Progress::new(total, Unit::Bytes);
    let mut sink = Sink { out: stdout()?, format: args.format, text: Vec::new() };
    match args.format {
        // Pieces of raw bytes cannot be told apart, so they are one.
        Format::Raw => sink.stream(total, &mut progress),
        Format::Hex | Format::Base64 => sink.lines(args.size, args.count.count, &mut progress),
    }
}

fn as_json(args: &Args) -> Result<(), Failure> {
    if args.size > MOST_JSON_BYTES {
        return Err(Failure::Usage(
            "a piece of more than 1 MiB is too long for JSON; leave out --json".to_owned(),
        ));
    }
    super::output::each(&args.common, &args.count, |lines: &mut Lines| {
        let mut piece = vec![0; args.size as usize];
        weir_kernel::fill(&mut piece)?;
        let mut text = Vec::new();
        let (name, encode): (_, Encode) = match args.format {
            Format::Base64 => ("base64", base64),
            Format::Raw | Format::Hex => ("hex", hex),
        };
        encode(&piece, &mut text);
        let text = String::from_utf8(text).unwrap_or_default();
        lines.write("", || object([(name, Value::from(text)), ("bytes", Value::from(args.size))]))?;
        Ok(())
    })
}

/// Appends bytes as text. By table: this text is for showing, and the table is as quick as the output.
type Encode = fn(&[u8], &mut Vec<u8>);

struct Sink<W> {
    out: W,
    format: Format,
    text: Vec<u8>,
}

impl<W: Write> Sink<W> {
    /// Writes `left` bytes, with a buffer of constant size.
    fn stream(&mut self, mut left: u64, progress: &mut Progress) -> Result<(), Failure> {
        let mut buffer = vec![0; BUFFER_BYTES.min(usize::try_from(left).unwrap_or(BUFFER_BYTES))];
        while left > 0 {
            let piece = left.min(self.piece_bytes()).min(buffer.len() as u64);
            let Some(piece) = buffer.get_mut(..piece as usize) else { break };
            weir_kernel::fill(piece)?;
            self.write(piece)?;
            left -= piece.len() as u64;
            progress.add(piece.len() as u64);
        }
        Ok(())
    }

    fn lines(&mut self, size: u64, count: u64, progress: &mut Progress) -> Result<(), Failure> {
        for _ in 0..count {
            self.stream(size, progress)?;
            self.text.push(b'\n');
            if self.text.len() >= BUFFER_BYTES {
                self.flush()?;
            }
        }
        self.flush()?;
        Ok(())
    }

    /// As much as can be written at once: for base64 whole groups of three, since only the last may be padded.
    fn piece_bytes(&self) -> u64 {
        let whole = if self.format == Format::Base64 { BUFFER_BYTES / 3 * 3 } else { BUFFER_BYTES };
        whole as u64
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        match self.format {
            Format::Raw => return self.out.write_all(piece),
            Format::Hex => hex(piece, &mut self.text),
            Format::Base64 => base64(piece, &mut self.text),
        }
        if self.text.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.text)?;
        self.text.clear();
        Ok(())
    }
}

fn hex(bytes: &[u8], text: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or_default();
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
}

fn base64(bytes: &[u8], text: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let bits =
            (0..3).fold(0u32, |bits, at| bits << 8 | u32::from(group.get(at).copied().unwrap_or_default()));
        for at in 0..4 {
            let digit = DIGITS.get((bits >> (18 - 6 * at) & 63) as usize).copied().unwrap_or_default();
            text.push(if at <= group.len() { digit } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(encode: Encode, bytes: &[u8]) -> String {
        let mut text = Vec::new();
        encode(bytes, &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn encodings_are_those_of_rfc_4648() {
        // Section 10.
        for (bytes, base64_text, hex_text) in [
            ("", "", ""),
            ("f", "Zg==", "66"),
            ("fo", "Zm8=", "666f"),
            ("foo", "Zm9v", "666f6f"),
            ("foob", "Zm9vYg==", "666f6f62"),
            ("foobar", "Zm9vYmFy", "666f6f626172"),
        ] {
            assert_eq!(text(base64, bytes.as_bytes()), base64_text);
            assert_eq!(text(hex, bytes.as_bytes()), hex_text);
        }
        assert_eq!(text(base64, &[0xff, 0xfe, 0xfd]), "//79");
    }

    #[test]
    fn a_long_piece_is_one_line_without_padding_inside() {
        for size in [BUFFER_BYTES as u64 * 2 + 1, 3 * BUFFER_BYTES as u64, 1, 0] {
            for (format, expected) in
                [(Format::Hex, size * 2 + 1), (Format::Base64, size.div_ceil(3) * 4 + 1)]
            {
                let mut sink = Sink { out: Vec::new(), format, text: Vec::new() };
                assert!(sink.lines(size, 2, &mut Progress::new(2 * size, Unit::Bytes)).is_ok());
                assert_eq!(sink.out.len() as u64, 2 * expected);
                let line = sink.out.split(|byte| *byte == b'\n').next().unwrap();
                let padding = line.iter().filter(|byte| **byte == b'=').count();
                assert!(padding <= 2 && line.ends_with(&b"=="[..padding]));
            }
        }
    }
}
