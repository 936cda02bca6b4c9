//! Requests at a fixed rate, whatever the answers do.
//!
//! Each connection has a thread and a schedule; the schedules are evenly apart. A request that is due while the one
//! before it is still unanswered counts its waiting time from when it was due, so that a stall is seen by every request
//! that it would have hit (what is called coordinated omission does not happen). A request that starts late because this
//! program woke late counts from its start: that delay is not the proxy's.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use testkit::Client;

/// What to send, where, and how fast
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long)]
    pub(super) addr: SocketAddr,
    #[arg(long)]
    pub(super) path: String,
    /// As `Name: value`
    #[arg(long)]
    pub(super) header: Vec<String>,
    #[arg(long)]
    pub(super) rate: u32,
    #[arg(long)]
    pub(super) connections: u32,
    #[arg(long)]
    pub(super) seconds: u32,
}

impl Args {
    pub(super) fn to_words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut option = |name: &str, value: String| words.extend([format!("--{name}"), value]);
        option("addr", self.addr.to_string());
        option("path", self.path.clone());
        option("rate", self.rate.to_string());
        option("connections", self.connections.to_string());
        option("seconds", self.seconds.to_string());
        self.header.iter().for_each(|header| option("header", header.clone()));
        words
    }
}

/// Prints: requests, seconds, median and 99th percentile of their waiting times in microseconds.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let begin = Instant::now() + Duration::from_millis(50);
    let end = begin + Duration::from_secs(args.seconds.into());
    let apart = Duration::from_secs(1) / args.rate;
    let threads: Vec<_> = (0..args.connections)
        .map(|number| {
            let (args, first) = (args.clone(), begin + apart * number);
            thread::spawn(move || one_connection(&args, first, apart * args.connections, end))
        })
        .collect();
    let mut waits = Vec::new();
    for thread in threads {
        match thread.join() {
            Ok(of_one) => waits.extend(of_one?),
            Err(_) => bail!("a connection's thread panicked"),
        }
    }
    waits.sort();
    let seconds = begin.elapsed().as_secs_f64();
    let (Some(p50), Some(p99)) = (percentile(&waits, 50), percentile(&waits, 99)) else {
        bail!("nothing was sent")
    };
    println!("{} {seconds} {} {}", waits.len(), p50.as_secs_f64() * 1e6, p99.as_secs_f64() * 1e6);
    Ok(ExitCode::SUCCESS)
}

fn one_connection(args: &Args, first: Instant, period: Duration, end: Instant) -> Result<Vec<Duration>> {
    let mut client = Client::connect(args.addr)?;
    let mut request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n", args.path, args.addr);
    for header in &args.header {
        request += &format!("{header}\r\n");
    }
    request += "\r\n";
    let mut waits = Vec::new();
    let mut due = first;
    while due < end {
        let early = due.saturating_duration_since(Instant::now());
        thread::sleep(early);
        let since = if early.is_zero() { due } else { Instant::now() };
        let answer =
            client.send(request.as_bytes()).with_context(|| format!("request {}", waits.len() + 1))?;
        if answer.status != 200 {
            bail!("answered {}: {}", answer.status, answer.text());
        }
        waits.push(since.elapsed());
        due += period;
    }
    Ok(waits)
}

/// The smallest value that so many per cent of the values do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let ms: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&ms, 50), Some(Duration::from_millis(100)));
        assert_eq!(percentile(&ms, 99), Some(Duration::from_millis(198)));
        assert_eq!(percentile(&ms[..1], 99), Some(Duration::from_millis(1)));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn a_stall_counts_for_every_request_that_was_due() {
        let stall = Duration::from_millis(60);
        let echo = testkit::Echo::with(move |_| testkit::Reply::new(200).delay(stall));
        let addr = echo.addr();
        let args = Args { addr, path: "/".into(), header: Vec::new(), rate: 100, connections: 1, seconds: 1 };
        let begin = Instant::now();
        // 10 ms apart, 60 ms each: the tenth was due at 90 ms and is answered at 600 ms.
        let waits =
            one_connection(&args, begin, Duration::from_millis(10), begin + Duration::from_millis(100))
                .unwrap();
        assert_eq!(waits.len(), 10);
        assert!(waits[9] >= Duration::from_millis(500), "{waits:?}");
    }
}
