//! `weir seed fetch`: a seed from servers, into this host's pool.
//!
//! Made for the boot: it takes a bounded time in all, and its exit status says that the boot may go on, unless somebody asked
//! to know. What is held up when the time is over ends with the process.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_seed::fetch::config::{self, Config};
use weir_seed::fetch::mark::{self, Machine};
use weir_seed::fetch::{Fetch, FetchError, Fetched, MOST_SERVERS, Pin, Server, Trust};

const AFTER_HELP: &str = "\
What comes is mixed into the kernel's pool and never credited; run as root, the kernel takes a new key at once. It is done
once on each machine: /var/lib/weir-seed/fetched remembers, and a copy of the disk fetches again.

Without --server, /etc/weir/seed.conf says what to do: lines of server, pin, ca, timeout, insecure-http = value.

Exit status: 0 the boot may go on, whatever came; 1 with --strict: nothing came; 2 wrong usage or a wrong configuration.

The protocol is that of pollinate. It and all messages are described in docs/seeding/fetch.md.

Examples:
  weir seed fetch --server https://seeds.example
  weir seed fetch --server 10.0.0.2:8443 --pin sha256//…   a key that is known, needs no authority and no clock
  weir seed fetch --server https://a.example --server https://b.example --timeout 1.5
  weir seed fetch --again --json | jq .servers             what /etc/weir/seed.conf names, once more";

/// Fetch a seed from servers and mix it into this host's pool, within a bounded time
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// A server, as https://host[:port][/path]; give several, and all are asked at once
    #[arg(long = "server", value_name = "URL")]
    servers: Vec<Server>,
    /// Believe whoever holds this key (as curl --pinnedpubkey), and no authority; give several for several keys
    #[arg(long = "pin", value_name = "sha256//BASE64", conflicts_with = "ca", value_delimiter = ';')]
    pins: Vec<Pin>,
    /// Believe the authorities in a file (PEM), and no others
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How long all of it may take, looking up names included [3; with --wait 10]
    #[arg(long, value_name = "SECONDS", value_parser = config::seconds)]
    timeout: Option<Duration>,
    /// Wait for the network: try again, until the time is over, a server that cannot be looked up or reached
    #[arg(long)]
    wait: bool,
    /// Fetch even if this machine did before
    #[arg(long)]
    again: bool,
    /// Ask http:// servers, too: everybody on the way can read the seed, and it is worth nothing against them
    #[arg(long)]
    insecure_http: bool,
    /// Exit with status 1 if nothing came
    #[arg(long)]
    strict: bool,
    /// For machines: one JSON document
    #[arg(long)]
    json: bool,
    /// Say only what went wrong
    #[arg(short, long)]
    quiet: bool,
    /// Another configuration than /etc/weir/seed.conf
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Another folder for what is remembered, and for the notes that `weir doctor` reads
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
}

const TIMEOUT: Duration = Duration::from_secs(3);
/// Enough for most networks to come up.
const TIMEOUT_WITH_WAIT: Duration = Duration::from_secs(10);
const NOTHING_CAME: u8 = 1;
const USAGE: u8 = 2;

pub(crate) fn run(args: &Args) -> ExitCode {
    let start = Instant::now();
    let plan = match plan(args) {
        Ok(plan) => plan,
        Err(why) => {
            complain(&why);
            return ExitCode::from(USAGE);
        }
    };
    let machine = Machine::read(&args.root);
    if let Some(at) = machine.fetched(&args.root).filter(|_| !args.again) {
        let report = json!({"schema": SCHEMA, "fetched_before": at, "arrived": 0, "servers": []});
        say(args, &report, || "this machine fetched a seed before; --again fetches another".to_owned());
        return ExitCode::SUCCESS;
    }
    if plan.servers.is_empty() {
        complain(&format!("no server: name one with --server, or in {}", config::PATH));
        return status(args, 0);
    }
    fetch(args, &plan, &machine, start)
}

/// What is to be done, by the command line and, where that says nothing, the configuration.
fn plan(args: &Args) -> Result<Fetch, String> {
    // Whoever names servers says whom to believe, too.
    let config =
        if args.servers.is_empty() || args.config.is_some() { read(args)? } else { Config::default() };
    let Config { servers, pins, ca, timeout, insecure_http } = config;
    let (pins, ca) = match (args.pins.is_empty(), &args.ca) {
        (true, None) => (pins, ca),
        _ => (args.pins.clone(), args.ca.clone()),
    };
    let servers = if args.servers.is_empty() { servers } else { args.servers.clone() };
    if servers.len() > MOST_SERVERS {
        return Err(format!("{} servers are too many: {MOST_SERVERS} at most", servers.len()));
    }
    if let Some(plain) = servers.iter().find(|server| server.is_plain())
        && !(args.insecure_http || insecure_http)
    {
        return Err(format!("{plain}: everybody on the way could read the seed; --insecure-http allows it"));
    }
    let trust = match (pins.is_empty(), ca) {
        (false, _) => Trust::Pins(pins),
        (true, Some(file)) => Trust::File(file),
        (true, None) => Trust::System,
    };
    Ok(Fetch {
        servers,
        trust,
        provider: weir_proxy::cryptography(),
        timeout: args.timeout.or(timeout).unwrap_or(if args.wait { TIMEOUT_WITH_WAIT } else { TIMEOUT }),
        wait: args.wait,
        root: args.root.clone(),
    })
}

fn read(args: &Args) -> Result<Config, String> {
    let path = args.config.as_deref().unwrap_or(Path::new(config::PATH));
    let wrong = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && args.config.is_none() => {
            return Ok(Config::default());
        }
        file => file.map_err(|error| wrong(&error))?,
    };
    let mut text = String::new();
    let length =
        file.take(config::MAX_BYTES as u64 + 1).read_to_string(&mut text).map_err(|error| wrong(&error))?;
    if length > config::MAX_BYTES {
        return Err(wrong(&format!("it is longer than {} bytes", config::MAX_BYTES)));
    }
    Config::parse(&text).map_err(|error| wrong(&error))
}

const SCHEMA: &str = "weir.seed.fetch/1";

fn fetch(args: &Args, plan: &Fetch, machine: &Machine, start: Instant) -> ExitCode {
    let mut servers = Vec::new();
    let arrived = plan.run(|server, result| {
        servers.push(record(server, &result));
        match result {
            Ok(fetched) => {
                if !args.quiet && !args.json {
                    tell(&format!("{server}: {}", describe(&fetched)));
                }
                if let Err(error) = fetched.noted {
                    complain(&format!("the arrival could not be noted for weir doctor: {error}"));
                }
            }
            Err(error) => complain(&format!("{server}: {error}")),
        }
    });
    if arrived == 0 {
        let took = start.elapsed().as_secs_f64();
        complain(&format!("no seed came, after {took:.1} s; this host goes on without one"));
    } else if let Err(error) = machine.remember(&args.root) {
        complain(&format!("{}: {error}; the next start will fetch again", mark::PATH));
    }
    if args.json {
        tell(
            &json!({"schema": SCHEMA, "fetched_before": null, "arrived": arrived, "servers": servers})
                .to_string(),
        );
    }
    status(args, arrived)
}

fn describe(fetched: &Fetched) -> String {
    let felt = match &fetched.given.reseeded {
        Ok(()) => "the kernel took a new key at once".to_owned(),
        Err(error) => format!("felt at the kernel's next own reseed ({error})"),
    };
    format!("a seed is mixed in, none of it credited, after {:.2} s; {felt}", fetched.took.as_secs_f64())
}

fn record(server: &Server, result: &Result<Fetched, FetchError>) -> Value {
    let server = server.to_string();
    match result {
        Ok(Fetched { given, noted, took }) => json!({
            "server": server, "arrived": true, "bytes": given.bytes, "credited_bits": 0, "reseeded": given.reseeded.is_ok(),
            "ready_before": given.ready_before, "ready_after": given.ready_after, "noted": noted.is_ok(),
            "took_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }),
        Err(error) => json!({"server": server, "arrived": false, "error": error.to_string()}),
    }
}

fn status(args: &Args, arrived: usize) -> ExitCode {
    if arrived == 0 && args.strict { ExitCode::from(NOTHING_CAME) } else { ExitCode::SUCCESS }
}

fn say(args: &Args, report: &Value, text: impl FnOnce() -> String) {
    if args.json {
        tell(&report.to_string());
    } else if !args.quiet {
        tell(&text());
    }
}

fn tell(line: &str) {
    // Whoever closed the pipe wants to hear no more, and the work is done.
    let _ = writeln!(io::stdout(), "{line}");
}

fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "weir: {message}");
}
