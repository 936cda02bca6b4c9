//! `weir stop`, `weir reload`, `weir health`: a gateway that is running.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::start::Where;
use crate::gateway::{self, lock};

/// Stop a running gateway when its requests are done
#[derive(clap::Args)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    where_: Where,
    /// Seconds to wait for it to end, beyond those that its requests have
    #[arg(long, default_value_t = 10)]
    timeout: u64,
}

/// Make a running gateway read its configuration again
#[derive(clap::Args)]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    where_: Where,
}

/// Say whether a gateway runs and can take requests
///
/// Exit status 1 when it does not or cannot.
#[derive(clap::Args)]
pub(crate) struct HealthArgs {
    #[command(flatten)]
    where_: Where,
}

pub(crate) fn stop(args: &StopArgs) -> Result<()> {
    let config = args.where_.readable()?;
    let pid = running(&args.where_)?;
    let lock = gateway::Prefix::at(&config.prefix).lock();
    kill_process(pid, Signal::TERM).context("cannot stop the gateway")?;
    let deadline = Instant::now() + config.shutdown_timeout + Duration::from_secs(args.timeout);
    // The kernel drops the lock with the process; the process's id may stay for as long as its parent likes.
    while lock::holder(&lock)? == Some(pid) {
        if Instant::now() >= deadline {
            bail!("process {} is still running", pid.as_raw_nonzero());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    writeln!(io::stdout(), "stopped")?;
    Ok(())
}

pub(crate) fn reload(args: &ReloadArgs) -> Result<()> {
    // What cannot be read would only be refused in the gateway's log, where nobody may be looking.
    args.where_.checked()?;
    let pid = running(&args.where_)?;
    kill_process(pid, Signal::HUP).context("cannot tell the gateway")?;
    writeln!(io::stdout(), "told process {} to read its configuration again", pid.as_raw_nonzero())?;
    Ok(())
}

pub(crate) fn health(args: &HealthArgs) -> Result<()> {
    let pid = running(&args.where_)?;
    let prefix = gateway::Prefix::at(&args.where_.readable()?.prefix);
    let path = prefix.listeners();
    let text =
        std::fs::read(&path).with_context(|| format!("{}: the gateway is not ready", path.display()))?;
    let listening: Value = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    let mut out = io::stdout().lock();
    writeln!(out, "running: process {}", pid.as_raw_nonzero())?;
    for (name, addresses) in listening.as_object().into_iter().flatten() {
        let list: Vec<&str> = addresses.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !list.is_empty() {
            writeln!(out, "{name}: {}", list.join(", "))?;
        }
    }
    let status = listening["status"].get(0).and_then(Value::as_str).and_then(|text| text.parse().ok());
    match status {
        Some(address) => {
            let answer = ask_ready(address).with_context(|| format!("{address} does not answer"))?;
            writeln!(out, "{answer}")?;
            if !answer.starts_with("ready") {
                bail!("the gateway is not ready");
            }
        }
        None => writeln!(out, "ready (no status_listen to ask)")?,
    }
    Ok(())
}

fn running(where_: &Where) -> Result<Pid> {
    let prefix = where_.readable()?.prefix;
    let holder = lock::holder(&gateway::Prefix::at(&prefix).lock())?;
    holder.with_context(|| format!("no gateway is running with the prefix {}", prefix.display()))
}

/// What `/status/ready` says.
fn ask_ready(address: SocketAddr) -> Result<String> {
    let patience = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    write!(stream, "GET /status/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.take(64 * 1024).read_to_string(&mut text)?;
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let body: Value = serde_json::from_str(body).context("the answer is not JSON")?;
    Ok(body["message"].as_str().unwrap_or_default().to_owned())
}
