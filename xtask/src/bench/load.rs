//! The load: wrk for as much as a proxy can take, our own pacer for a fixed rate.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use super::pace;
use crate::process;

/// What the requests are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Load {
    /// GET, answered with some 100 bytes
    Get,
    /// GET over TLS
    Tls,
    /// POST of 1 KiB
    Post,
}

impl Load {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Get => "GET over HTTP/1.1",
            Self::Tls => "GET over TLS 1.3",
            Self::Post => "POST of 1 KiB over HTTP/1.1",
        }
    }
}

/// Where requests go.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) http: SocketAddr,
    pub(super) https: SocketAddr,
    pub(super) path: &'static str,
    pub(super) headers: Vec<(&'static str, &'static str)>,
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    /// Requests answered with 200.
    pub(super) requests: u64,
    pub(super) seconds: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
}

/// wrk prints for people; this makes it print for us. `latency` is in microseconds.
const DONE: &str = "
done = function(summary, latency, requests)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.timeout
  io.write(string.format('weir: %d %d %d %d %f %f\\n', summary.requests, summary.duration, failed, e.status,
    latency:percentile(50), latency:percentile(99)))
end
";

const POST: &str = "
wrk.method = 'POST'
wrk.headers['Content-Type'] = 'application/octet-stream'
wrk.body = string.rep('x', 1024)
";

const RANDOM: &str = "
request = function()
  local n = math.random(0, routes - 1)
  return wrk.format('GET', '/r' .. n .. '/', {Host = 'h' .. n % 1000 .. '.test'})
end
";

const KEYS: &str = "
request = function()
  return wrk.format('GET', '/', {apikey = 'key-' .. math.random(0, keys - 1)})
end
";

/// Sends as much as is answered, over so many connections, from one core.
pub(super) struct Saturation {
    pub(super) folder: PathBuf,
    pub(super) core: usize,
    pub(super) connections: u32,
}

impl Saturation {
    /// # Errors
    /// When any request failed or was not answered 2xx or 3xx: such a measurement says nothing.
    pub(super) fn run(&self, target: &Target, load: Load, seconds: u32) -> Result<Outcome> {
        let script = self.folder.join("wrk.lua");
        fs::write(&script, if load == Load::Post { format!("{POST}{DONE}") } else { DONE.into() })?;
        let url = match load {
            Load::Tls => format!("https://{}{}", target.https, target.path),
            Load::Get | Load::Post => format!("http://{}{}", target.http, target.path),
        };
        let mut command = self.wrk(&script, seconds);
        for (name, value) in &target.headers {
            command.args(["--header", &format!("{name}: {value}")]);
        }
        let said = process::read(command.arg(&url))?;
        parse_wrk(&said).with_context(|| format!("wrk on {url}"))
    }
}

impl Saturation {
    /// Asks for one of so many routes at a time, `/r0/` to `/r{routes - 1}/`, each with the host of its number.
    pub(super) fn run_random(&self, addr: SocketAddr, routes: usize, seconds: u32) -> Result<Outcome> {
        let script = self.folder.join("random.lua");
        fs::write(&script, format!("local routes = {routes}\n{RANDOM}{DONE}"))?;
        let said = process::read(self.wrk(&script, seconds).arg(format!("http://{addr}/")))?;
        parse_wrk(&said).with_context(|| format!("wrk on {addr}"))
    }

    /// Shows one of so many API keys at a time, `key-0` to `key-{keys - 1}`.
    pub(super) fn run_keys(&self, addr: SocketAddr, keys: usize, seconds: u32) -> Result<Outcome> {
        let script = self.folder.join("keys.lua");
        fs::write(&script, format!("local keys = {keys}\n{KEYS}{DONE}"))?;
        let said = process::read(self.wrk(&script, seconds).arg(format!("http://{addr}/")))?;
        parse_wrk(&said).with_context(|| format!("wrk on {addr}"))
    }

    fn wrk(&self, script: &Path, seconds: u32) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", &self.core.to_string(), "wrk", "--threads", "1"]);
        command.args(["--connections", &self.connections.to_string(), "--duration", &format!("{seconds}s")]);
        command.arg("--script").arg(script);
        command
    }
}

fn parse_wrk(said: &str) -> Result<Outcome> {
    let line = said.lines().find_map(|line| line.strip_prefix("weir: ")).context("no result")?;
    let numbers: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [requests, microseconds, failed, refused, p50_us, p99_us] = numbers[..] else {
        bail!("a result of {line:?}")
    };
    if failed + refused > 0.0 {
        bail!("{failed} requests failed and {refused} were refused");
    }
    if requests == 0.0 {
        bail!("no request was answered");
    }
    Ok(Outcome { requests: requests as u64, seconds: microseconds / 1e6, p50_us, p99_us })
}

/// Sends requests at a rate that every proxy here can take, to see how long they wait when nobody is overloaded.
pub(super) fn at_fixed_rate(args: &pace::Args, core: usize) -> Result<Outcome> {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(std::env::current_exe()?).arg("pace");
    let said = process::read(command.args(args.to_words()))?;
    let numbers: Vec<f64> = said.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [requests, seconds, p50_us, p99_us] = numbers[..] else { bail!("the pacer said {said:?}") };
    Ok(Outcome { requests: requests as u64, seconds, p50_us, p99_us })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_and_failures_are_not_results() {
        let said = "Running 5s test\nweir: 1000 2000000 0 0 120.000000 950.500000\n";
        let outcome = Outcome { requests: 1000, seconds: 2.0, p50_us: 120.0, p99_us: 950.5 };
        assert_eq!(parse_wrk(said).unwrap(), outcome);
        for said in ["", "weir: 1 2", "weir: 9 9 1 0 1 1", "weir: 9 9 0 1 1 1", "weir: 0 9 0 0 1 1"] {
            assert!(parse_wrk(said).is_err(), "{said}");
        }
    }
}
