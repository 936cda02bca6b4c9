//! `weir assess fips140-2 --compat`: the output, statistics and exit status of rngtest 5.
//!
//! Standard input to standard error, and in pipe mode the good blocks to standard output. Times are measured as that program
//! does it, block by block, so their lines have its form but of course not its figures.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use weir_assess::fips140_2::rngtest::{BOOTSTRAP_BYTES, Rngtest};
use weir_assess::fips140_2::{BLOCK_BYTES, Tally, Test};

/// What the program exits with.
const FAILED: u8 = 1;
pub(super) const USAGE: u8 = 10;
pub(super) const IO_ERROR: u8 = 11;

/// Its options; numbers are texts since a wrong one has an exit status of its own.
pub(super) struct Options<'a> {
    pub(super) block_count: Option<&'a str>,
    pub(super) block_stats: Option<&'a str>,
    pub(super) timed_stats: Option<&'a str>,
    pub(super) pipe: bool,
}

pub(super) fn run(options: &Options, input: &mut dyn Read) -> ExitCode {
    let number = |text: Option<&str>| text.map_or(Some(0), |text| text.trim().parse::<u32>().ok());
    let (Some(count), Some(stats), Some(seconds)) =
        (number(options.block_count), number(options.block_stats), number(options.timed_stats))
    else {
        say("rngtest: blocks and seconds are numbers from 0 on\n");
        return ExitCode::from(USAGE);
    };
    let mut run = Run {
        input,
        pipe: options.pipe,
        received: 0,
        sent: 0,
        tally: Tally::default(),
        read: Times::default(),
        tested: Times::default(),
        written: Times::default(),
        start: Instant::now(),
        io_failed: false,
    };
    if !run.pipe {
        // Like that program: who it is, and that it begins.
        say(&format!("weir {} as rngtest 5\n\n", env!("CARGO_PKG_VERSION")));
        say("rngtest: starting FIPS tests...\n");
    }
    run.all(u64::from(count), u64::from(stats), Duration::from_secs(seconds.into()))
}

struct Run<'a> {
    input: &'a mut dyn Read,
    pipe: bool,
    received: u64,
    sent: u64,
    tally: Tally,
    read: Times,
    tested: Times,
    written: Times,
    start: Instant,
    io_failed: bool,
}

impl Run<'_> {
    fn all(&mut self, count: u64, stats: u64, every: Duration) -> ExitCode {
        let mut bootstrap = [0; BOOTSTRAP_BYTES];
        let reads = if self.pipe { 2 } else { 1 };
        if !(0..reads).all(|_| self.fill(&mut bootstrap)) {
            return ExitCode::from(FAILED);
        }
        let mut tests = Rngtest::new(bootstrap);
        let (mut since, mut dumped) = (0, Instant::now());
        while self.block(&mut tests) {
            if count > 0 && self.tally.blocks >= count {
                break;
            }
            since += 1;
            if (stats > 0 && since >= stats) || (!every.is_zero() && dumped.elapsed() > every) {
                self.dump();
                (since, dumped) = (0, Instant::now());
            }
        }
        self.dump();
        ExitCode::from(match (self.io_failed, self.tally) {
            (true, _) => IO_ERROR,
            (false, Tally { blocks: 0, .. }) => FAILED,
            (false, tally) => u8::from(tally.failed > 0),
        })
    }

    /// Reads, tests and perhaps writes a block; false at the end.
    fn block(&mut self, tests: &mut Rngtest) -> bool {
        let mut block = [0; BLOCK_BYTES];
        let start = Instant::now();
        if !self.fill(&mut block) {
            return false;
        }
        self.read.add(start);
        let start = Instant::now();
        let failures = tests.test(&block);
        self.tested.add(start);
        self.tally.add(failures);
        if failures.is_empty() && self.pipe {
            let start = Instant::now();
            if !self.write(&block) {
                return false;
            }
            self.written.add(start);
        }
        true
    }

    fn fill(&mut self, mut buffer: &mut [u8]) -> bool {
        while !buffer.is_empty() {
            match self.input.read(buffer) {
                Ok(0) => {
                    if !self.pipe {
                        say("rngtest: entropy source drained\n");
                    }
                    return false;
                }
                Ok(length) => {
                    self.received += length as u64;
                    buffer = buffer.get_mut(length..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    say(&format!("rngtest: error reading input: {}\n", reason(&error)));
                    self.io_failed = true;
                    return false;
                }
            }
        }
        true
    }

    fn write(&mut self, block: &[u8]) -> bool {
        let mut out = io::stdout().lock();
        match out.write_all(block).and_then(|()| out.flush()) {
            Ok(()) => {
                self.sent += block.len() as u64;
                true
            }
            Err(error) => {
                say(&format!("rngtest: error writing to output: {}\n", reason(&error)));
                self.io_failed = true;
                false
            }
        }
    }

    fn dump(&self) {
        let mut text = format!("rngtest: bits received from input: {}\n", self.received * 8);
        if self.pipe {
            let _ = writeln!(text, "rngtest: bits sent to output: {}", self.sent * 8);
        }
        let Tally { blocks, failed, by_test } = self.tally;
        let _ = writeln!(text, "rngtest: FIPS 140-2 successes: {}", blocks - failed);
        let _ = writeln!(text, "rngtest: FIPS 140-2 failures: {failed}");
        for (test, count) in Test::ALL.iter().zip(by_test) {
            let _ = writeln!(text, "rngtest: FIPS 140-2(2001-10-10) {}: {count}", test.name());
        }
        let _ = writeln!(text, "rngtest: input channel speed: {}", self.read.speeds());
        let _ = writeln!(text, "rngtest: FIPS tests speed: {}", self.tested.speeds());
        if self.pipe {
            let _ = writeln!(text, "rngtest: output channel speed: {}", self.written.speeds());
        }
        let _ =
            writeln!(text, "rngtest: Program run time: {} microseconds", self.start.elapsed().as_micros());
        say(&text);
    }
}

/// The system's words for an error, without the number that Rust adds.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn say(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// How long blocks took, in whole microseconds.
#[derive(Default)]
struct Times {
    least: u64,
    most: u64,
    sum: u64,
    count: u64,
}

impl Times {
    fn add(&mut self, start: Instant) {
        let taken = start.elapsed().as_micros() as u64;
        // A time of 0 does not count as the least, or it would be for ever.
        if self.least == 0 || taken < self.least {
            self.least = taken;
        }
        self.most = self.most.max(taken);
        self.sum += taken;
        self.count += 1;
    }

    /// Bits a second: least, mean, most, in the largest unit in which all of them are 1 and more.
    fn speeds(&self) -> String {
        const BITS: f64 = 8e6 * BLOCK_BYTES as f64;
        let speed = |taken: u64| if taken > 0 { BITS / taken as f64 } else { 0.0 };
        let mean = if self.count > 0 { BITS * self.count as f64 / self.sum as f64 } else { 0.0 };
        let mut speeds = [speed(self.most), mean, speed(self.least)];
        let mut unit = "";
        for larger in ["Ki", "Mi", "Gi", "Ti"] {
            if speeds.iter().any(|speed| *speed < 1024.0) {
                break;
            }
            speeds = speeds.map(|speed| speed / 1024.0);
            unit = larger;
        }
        let [least, mean, most] = speeds;
        format!("(min={least:.3}; avg={mean:.3}; max={most:.3}){unit}bits/s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_written_as_rngtest_writes_them() {
        // Figures of a run of rngtest 5: 143 and 146 and 145 microseconds.
        let times = Times { least: 143, most: 160, sum: 306, count: 2 };
        assert_eq!(times.speeds(), "(min=119.209; avg=124.663; max=133.381)Mibits/s");
        let none = Times { least: 0, most: 0, sum: 0, count: 2 };
        assert_eq!(none.speeds(), "(min=0.000; avg=inf; max=0.000)bits/s");
        assert_eq!(Times::default().speeds(), "(min=0.000; avg=0.000; max=0.000)bits/s");
    }
}
