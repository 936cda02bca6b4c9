//! tpm: TPM2_GetRandom, through the kernel's resource manager /dev/tpmrm0.
//!
//! Command and answer are those of the TPM 2.0 Library Specification, part 3, section 16.1, written and read by hand;
//! [`parse_answer`] takes nothing that is not exactly an answer. The device is opened such that neither writing nor
//! reading waits for the TPM. Where the kernel makes a caller wait all the same, before Linux 5.0 and while the TPM is at
//! work, that lasts as long as a command does: some 10 ms, and for a TPM that hangs until its driver gives up.
//!
//! A command that was cut off by the deadline stays with the TPM; its answer is taken the next time.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::time::Instant;

use zeroize::Zeroize;

use super::{Claim, Kind, Pace, Source, SourceError, Spec, Use, waiting};

pub(super) const KIND: Kind = Kind {
    name: "tpm",
    summary: "the random number generator of a TPM 2.0 (/dev/tpmrm0)",
    argument: None,
    bits_per_sample: 8,
    claim: Claim {
        min_entropy_bits: 1.0,
        reason: "a generator's output, seeded from noise inside the TPM as its specification demands; how often anew \
                 is not said, so an eighth is believed",
    },
    // A generator's output looks full, so faults show against more than it is credited with.
    tested_bits: 4.0,
    timing: false,
    pace: Pace::Slow { patience_ms: 30 },
    default: Use::Always,
    open: |spec| {
        let device = waiting::open("/dev/tpmrm0", true)?;
        Ok(Box::new(Tpm { spec: spec.clone(), device, asked: None }))
    },
};

/// Bytes asked for at once: no more than the largest digest of any TPM 2.0 may be guaranteed to be answered.
const MOST_BYTES: u16 = 32;

/// TPM_ST_NO_SESSIONS.
const NO_SESSIONS: u16 = 0x8001;

/// TPM_CC_GetRandom.
const GET_RANDOM: u32 = 0x0000_017b;

/// Tag, size and code of an answer, and the size of what follows.
const HEAD_BYTES: usize = 2 + 4 + 4;

/// TPM_RC_RETRY, TPM_RC_YIELDED, TPM_RC_TESTING: ask again later.
const LATER: [u32; 3] = [0x922, 0x908, 0x90a];

struct Tpm {
    spec: Spec,
    device: File,
    /// How many bytes the command that has not been answered yet asked for.
    asked: Option<u16>,
}

impl Source for Tpm {
    fn name(&self) -> &str {
        self.spec.name()
    }

    fn kind(&self) -> &'static Kind {
        self.spec.kind()
    }

    fn sample(&mut self, out: &mut [u8], deadline: Instant) -> Result<usize, SourceError> {
        let mut done = 0;
        while done < out.len() {
            match self.ask(&mut out[done..], deadline) {
                Ok(count) => done += count,
                // What came before is good.
                Err(SourceError::Dry) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

impl Tpm {
    /// One command and its answer.
    fn ask(&mut self, out: &mut [u8], deadline: Instant) -> Result<usize, SourceError> {
        let asked = match self.asked {
            Some(asked) => asked,
            None => self.send(u16::try_from(out.len()).unwrap_or(MOST_BYTES).min(MOST_BYTES))?,
        };
        // One byte more than an answer has, so that too long a one is seen to be.
        let mut answer = [0; HEAD_BYTES + 2 + MOST_BYTES as usize + 1];
        let length = waiting::read_answer(&mut self.device, &mut answer, deadline, true)?;
        self.asked = None;
        let bytes = parse_answer(&answer[..length], asked);
        let taken = bytes.map(|bytes| {
            let count = bytes.len().min(out.len());
            out[..count].copy_from_slice(&bytes[..count]);
            count
        });
        answer.zeroize();
        taken
    }

    fn send(&mut self, bytes: u16) -> Result<u16, SourceError> {
        match self.device.write(&command(bytes)) {
            Ok(12) => {
                self.asked = Some(bytes);
                Ok(bytes)
            }
            Ok(_) => Err(SourceError::Malformed("the TPM's driver took a part of a command")),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Err(SourceError::Dry)
            }
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => Err(SourceError::Dry),
            Err(error) => Err(SourceError::Os { what: "writing to it", error }),
        }
    }
}

/// TPM2_GetRandom for so many bytes.
fn command(bytes: u16) -> [u8; 12] {
    let mut command = [0; 12];
    command[..2].copy_from_slice(&NO_SESSIONS.to_be_bytes());
    command[2..6].copy_from_slice(&12_u32.to_be_bytes());
    command[6..10].copy_from_slice(&GET_RANDOM.to_be_bytes());
    command[10..].copy_from_slice(&bytes.to_be_bytes());
    command
}

/// The random bytes in an answer to TPM2_GetRandom: one at least, and as many as were `asked` for at most.
///
/// # Errors
/// [`SourceError::Device`] with the TPM's own code, [`SourceError::Dry`] if it wants to be asked later,
/// [`SourceError::Malformed`] for anything that is no answer.
pub fn parse_answer(answer: &[u8], asked: u16) -> Result<&[u8], SourceError> {
    let malformed = SourceError::Malformed;
    let (tag, rest) = answer.split_first_chunk().ok_or(malformed("shorter than its head"))?;
    let (size, rest) = rest.split_first_chunk().ok_or(malformed("shorter than its head"))?;
    let (code, rest) = rest.split_first_chunk().ok_or(malformed("shorter than its head"))?;
    if usize::try_from(u32::from_be_bytes(*size)) != Ok(answer.len()) {
        return Err(malformed("its size is not its length"));
    }
    let code = u32::from_be_bytes(*code);
    // An error is tagged so too, but by a TPM that does not know the command's tag, with TPM_ST_RSP_COMMAND (0x00c4).
    if LATER.contains(&code) {
        return Err(SourceError::Dry);
    }
    if code != 0 {
        return Err(SourceError::Device { what: "the TPM answered the error", code });
    }
    if u16::from_be_bytes(*tag) != NO_SESSIONS {
        return Err(malformed("its tag is not that of an answer without sessions"));
    }
    let (count, bytes) = rest.split_first_chunk().ok_or(malformed("no count of bytes"))?;
    let count = u16::from_be_bytes(*count);
    if usize::from(count) != bytes.len() {
        return Err(malformed("its count of bytes is not their number"));
    }
    if count == 0 || count > asked {
        return Err(malformed("no bytes, or more than were asked for"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn answer(tag: u16, size: u32, code: u32, count: u16, bytes: &[u8]) -> Vec<u8> {
        let head = [&tag.to_be_bytes()[..], &size.to_be_bytes(), &code.to_be_bytes(), &count.to_be_bytes()];
        [&head.concat()[..], bytes].concat()
    }

    /// A TPM at the other end of a socket, and the source that asks it.
    fn connected() -> (UnixStream, Tpm) {
        let (tpm, device) = UnixStream::pair().unwrap();
        device.set_nonblocking(true).unwrap();
        let device = File::from(OwnedFd::from(device));
        (tpm, Tpm { spec: "tpm".parse().unwrap(), device, asked: None })
    }

    fn expect_command(tpm: &mut UnixStream, bytes: u16) {
        let mut got = [0; 12];
        tpm.read_exact(&mut got).unwrap();
        assert_eq!(got, command(bytes));
    }

    #[test]
    fn a_tpm_is_asked_until_there_is_enough() {
        let (mut tpm, mut source) = connected();
        let answering = thread::spawn(move || {
            for (asked, value) in [(32, 1), (8, 2)] {
                expect_command(&mut tpm, asked);
                let size = 12 + u32::from(asked);
                tpm.write_all(&answer(NO_SESSIONS, size, 0, asked, &vec![value; asked.into()])).unwrap();
            }
        });
        let mut out = [0; 40];
        let count = source.sample(&mut out, Instant::now() + Duration::from_secs(10)).unwrap();
        assert_eq!((count, &out[..32], &out[32..]), (40, &[1; 32][..], &[2; 8][..]));
        answering.join().unwrap();
    }

    #[test]
    fn a_late_answer_is_taken_the_next_time() {
        let (mut tpm, mut source) = connected();
        let mut out = [0; 16];
        let soon = Instant::now() + Duration::from_millis(20);
        assert!(matches!(source.sample(&mut out, soon), Err(SourceError::Dry)));
        expect_command(&mut tpm, 16);
        tpm.write_all(&answer(NO_SESSIONS, 28, 0, 16, &[3; 16])).unwrap();
        let later = Instant::now() + Duration::from_secs(10);
        assert_eq!(source.sample(&mut out, later).unwrap(), 16);
        assert_eq!(out, [3; 16]);
        tpm.set_nonblocking(true).unwrap();
        assert!(tpm.read(&mut [0; 1]).is_err(), "it was asked once");
    }

    #[test]
    fn an_answer_longer_than_any_is_refused() {
        let (mut tpm, mut source) = connected();
        tpm.write_all(&answer(NO_SESSIONS, 60, 0, 48, &[3; 48])).unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        assert!(matches!(source.sample(&mut [0; 32], until), Err(SourceError::Malformed(_))));
    }

    #[test]
    fn the_command_is_that_of_the_specification() {
        assert_eq!(command(32), [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 32]);
    }

    #[test]
    fn bytes_of_an_answer_are_taken() {
        let whole = answer(NO_SESSIONS, 15, 0, 3, &[7, 8, 9]);
        assert_eq!(parse_answer(&whole, 32).unwrap(), [7, 8, 9]);
        assert_eq!(parse_answer(&whole, 3).unwrap(), [7, 8, 9]);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let bad = [
            ("no bytes", answer(NO_SESSIONS, 12, 0, 0, &[])),
            ("more than asked for", answer(NO_SESSIONS, 17, 0, 5, &[1, 2, 3, 4, 5])),
            ("size too large", answer(NO_SESSIONS, 16, 0, 3, &[7, 8, 9])),
            ("size too small", answer(NO_SESSIONS, 14, 0, 3, &[7, 8, 9])),
            ("count too large", answer(NO_SESSIONS, 15, 0, 4, &[7, 8, 9])),
            ("count too small", answer(NO_SESSIONS, 15, 0, 2, &[7, 8, 9])),
            ("sessions", answer(0x8002, 15, 0, 3, &[7, 8, 9])),
            ("empty", Vec::new()),
        ];
        for (what, bytes) in bad {
            assert!(matches!(parse_answer(&bytes, 4), Err(SourceError::Malformed(_))), "{what}");
        }
        let whole = answer(NO_SESSIONS, 15, 0, 3, &[7, 8, 9]);
        for length in 0..whole.len() {
            assert!(parse_answer(&whole[..length], 4).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn the_tpms_own_errors_are_told_apart() {
        let error = |code: u32| parse_answer(&answer(NO_SESSIONS, 10, code, 0, &[])[..10], 4).unwrap_err();
        assert!(matches!(error(0x101), SourceError::Device { code: 0x101, .. }));
        assert!(matches!(error(0x922), SourceError::Dry));
    }
}
