//! Proxies under the same load, side by side.
//!
//! The proxies share one core, of which each has all while it is measured; the load and the origin share another. A round
//! measures every contender once, so that what else happens on the machine meets all of them alike; a measurement that
//! something visibly disturbed is taken again. The figure that compares is CPU time per request, taken from the kernel's
//! accounts of the proxy's processes: unlike the rate, it does not depend on whether the load generator or the origin was
//! the limit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::contenders::{self, CONTENDERS, Contender, Running, Site};
use super::load::{self, Load, Outcome, Saturation};
use super::procfs::{self, Memory};
use super::{Args, Cores, pace, profile, report};
use crate::{packages, process, workspace};

/// How often the time to start is taken.
const STARTS: usize = 5;
/// Seconds of load on each contender before the first round.
const WARM_UP: u32 = 2;
/// How often a measurement is taken, at most, to have one that was not disturbed; the least disturbed one counts.
const TRIES: usize = 3;

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// CPU time of the contender per request, in microseconds.
    pub(super) cpu_us: f64,
    /// Requests a second.
    pub(super) rate: f64,
    /// Waiting times, in microseconds.
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// The share of its core that the contender had.
    pub(super) own: f64,
    /// The share of a core that the host took away, and that others had: of the proxy's core or of the load's, whichever
    /// was disturbed more.
    pub(super) stolen: f64,
    pub(super) others: f64,
}

/// All measurements of one contender.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) version: String,
    /// Before its first load, and after the last.
    pub(super) idle: Memory,
    pub(super) loaded: Memory,
    /// From its start to its first proxied request, in milliseconds.
    pub(super) start_ms: Vec<f64>,
    /// With as much load as it takes, by kind of load.
    pub(super) saturated: Vec<(Load, Vec<Sample>)>,
    /// At a fixed rate.
    pub(super) paced: Vec<Sample>,
}

/// A contender at work, and what was measured so far.
struct Entry {
    contender: &'static Contender,
    program: PathBuf,
    site: Site,
    running: Running,
    measured: Measured,
}

pub(super) fn run(args: &Args) -> Result<()> {
    packages::ensure(packages::BENCH_PROXY)?;
    let chosen = choose(args)?;
    if chosen.is_empty() {
        return Ok(());
    }
    for core in [args.cores.proxy, args.cores.load] {
        procfs::core(core)?;
    }
    let folder = workspace::target()?.join("bench/proxy");
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(&folder)?,
    }
    let certificate = make_certificate(&folder)?;
    let (origin_process, origin) = contenders::start_origin(&folder.join("origin"), args.cores.load)?;
    let bench = Bench { cores: args.cores, origin: origin_process.pid() };
    let site = |name: &str| Site {
        folder: folder.join(name),
        core: args.cores.proxy,
        origin,
        certificate: certificate.clone(),
    };
    let mut entries: Vec<_> =
        chosen.into_iter().filter_map(|contender| enter(contender, site(contender.name), args)).collect();
    if entries.is_empty() {
        bail!("there is nobody to measure");
    }
    let saturation = Saturation { folder, core: args.cores.load, connections: args.connections };
    if args.profile {
        packages::ensure(packages::PROFILE)?;
        return entries.iter().try_for_each(|entry| {
            profile::run(entry.measured.title, &entry.running, &saturation, args.load[0], args.seconds)
        });
    }
    for &load in &args.load {
        saturate(&mut entries, bench, &saturation, load, args)?;
    }
    keep_pace(&mut entries, bench, args)?;
    let measured = finish(entries)?;
    report::proxies(&measured, args)
}

/// The contenders that `--only` names; a profile is of Weir unless told otherwise.
fn choose(args: &Args) -> Result<Vec<&'static Contender>> {
    let named = |contender: &&Contender| {
        if args.only.is_empty() {
            return !args.profile || contender.name == "weir";
        }
        args.only.iter().any(|only| only == contender.name)
    };
    let chosen: Vec<_> = CONTENDERS.iter().filter(named).collect();
    let unknown = args.only.iter().find(|only| !CONTENDERS.iter().any(|contender| contender.name == **only));
    match unknown {
        Some(name) => {
            let names: Vec<_> = CONTENDERS.iter().map(|contender| contender.name).collect();
            bail!("nobody is named {name}; there are {}", names.join(", "))
        }
        None => Ok(chosen),
    }
}

/// Builds or installs a contender and starts it; says so when that fails, and goes on without it.
fn enter(contender: &'static Contender, site: Site, args: &Args) -> Option<Entry> {
    let start = || -> Result<Entry> {
        let program = match &args.weir {
            Some(program) if contenders::is_weir(contender.name) => fs::canonicalize(program)?,
            _ => contender.prepare()?,
        };
        let version = contender.version(&program)?;
        let running = contender.start(&program, &site)?;
        let measured = Measured {
            name: contender.name,
            title: contender.title,
            version,
            idle: procfs::memory(running.pid()),
            loaded: Memory::default(),
            start_ms: Vec::new(),
            saturated: Vec::new(),
            paced: Vec::new(),
        };
        Ok(Entry { contender, program, site: site.clone(), running, measured })
    };
    start().inspect_err(|error| eprintln!("SKIPPED: {}: {error:#}", contender.title)).ok()
}

/// One certificate for all that are given one: P-256, as most of the web's are.
fn make_certificate(folder: &Path) -> Result<PathBuf> {
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    openssl.args(["-subj", "/CN=bench.test", "-days", "30", "-keyout"]).arg(&key);
    process::read(openssl.arg("-out").arg(&certificate))?;
    let both = [fs::read(&certificate)?, fs::read(&key)?].concat();
    fs::write(&certificate, both)?;
    Ok(certificate)
}

fn saturate(
    entries: &mut Vec<Entry>,
    bench: Bench,
    saturation: &Saturation,
    load: Load,
    args: &Args,
) -> Result<()> {
    println!("{}: {} rounds of {} s", load.title(), args.rounds, args.seconds);
    // One that fails under load is told and left out; the others are still worth measuring.
    entries.retain(|entry| {
        let warm = saturation.run(&entry.running.target, load, WARM_UP);
        let told = warm.inspect_err(|error| eprintln!("SKIPPED: {}: {error:#}", entry.measured.title));
        told.is_ok()
    });
    for entry in entries.iter_mut() {
        entry.measured.saturated.push((load, Vec::new()));
    }
    for round in 1..=args.rounds {
        for entry in entries.iter_mut() {
            let target = &entry.running.target;
            let sample = bench.measure(entry.running.pid(), || saturation.run(target, load, args.seconds))?;
            println!("  {round} {:<44} {}", entry.measured.title, report::line(&sample));
            let (_, samples) = entry.measured.saturated.last_mut().context("the load just begun")?;
            samples.push(sample);
        }
    }
    Ok(())
}

fn keep_pace(entries: &mut [Entry], bench: Bench, args: &Args) -> Result<()> {
    println!("{} requests a second: {} rounds of {} s", args.rate, args.rounds, args.seconds);
    for round in 1..=args.rounds {
        for entry in entries.iter_mut() {
            let target = &entry.running.target;
            let pace = pace::Args {
                addr: target.http,
                path: target.path.to_owned(),
                header: target.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect(),
                rate: args.rate,
                connections: args.connections,
                seconds: args.seconds,
            };
            let sample =
                bench.measure(entry.running.pid(), || load::at_fixed_rate(&pace, args.cores.load))?;
            println!("  {round} {:<44} {}", entry.measured.title, report::line(&sample));
            entry.measured.paced.push(sample);
        }
    }
    Ok(())
}

/// Who works on which core.
#[derive(Clone, Copy)]
struct Bench {
    cores: Cores,
    origin: u32,
}

impl Bench {
    /// Measures a contender until nothing disturbs it, within reason.
    fn measure(self, contender: u32, load: impl Fn() -> Result<Outcome>) -> Result<Sample> {
        let mut best: Option<Sample> = None;
        for _ in 0..TRIES {
            let sample = self.measure_once(contender, &load)?;
            let disturbance = |sample: &Sample| sample.others + sample.stolen;
            if best.as_ref().is_none_or(|best| disturbance(&sample) < disturbance(best)) {
                best = Some(sample);
            }
            if !report::is_disturbed(&sample) {
                break;
            }
        }
        best.context("a measurement")
    }

    /// Runs a load and reads the kernel's accounts before and after.
    fn measure_once(self, contender: u32, load: impl Fn() -> Result<Outcome>) -> Result<Sample> {
        let (before, clock) = (self.accounts(contender)?, Instant::now());
        let outcome = load()?;
        let wall = clock.elapsed().as_secs_f64();
        let after = self.accounts(contender)?;
        let cpu = after.contender - before.contender;
        let share = |core: fn(&Accounts) -> f64| (core(&after) - core(&before)) / wall;
        // Ticks are counted by sampling: a little below zero is nothing.
        let on_proxy_core = share(|a| a.proxy_core.busy - a.contender).max(0.0);
        let on_load_core = share(|a| a.load_core.busy - a.load).max(0.0);
        Ok(Sample {
            cpu_us: cpu * 1e6 / outcome.requests as f64,
            rate: outcome.requests as f64 / outcome.seconds,
            p50_us: outcome.p50_us,
            p99_us: outcome.p99_us,
            own: cpu / wall,
            stolen: share(|a| a.proxy_core.stolen).max(share(|a| a.load_core.stolen)),
            others: on_proxy_core.max(on_load_core),
        })
    }

    fn accounts(self, contender: u32) -> Result<Accounts> {
        Ok(Accounts {
            contender: procfs::cpu_seconds(contender),
            // The load's programs are children that this process has waited for.
            load: procfs::cpu_seconds(self.origin) + procfs::own_cpu_seconds(),
            proxy_core: procfs::core(self.cores.proxy)?,
            load_core: procfs::core(self.cores.load)?,
        })
    }
}

/// CPU time used so far, in seconds.
struct Accounts {
    contender: f64,
    load: f64,
    proxy_core: procfs::Core,
    load_core: procfs::Core,
}

/// What is left to measure once the load is over: memory, and how long a start takes.
fn finish(mut entries: Vec<Entry>) -> Result<Vec<Measured>> {
    for entry in &mut entries {
        entry.measured.loaded = procfs::memory(entry.running.pid());
    }
    println!("{STARTS} starts each");
    let mut all = Vec::new();
    for entry in entries {
        let Entry { contender, program, site, running, mut measured } = entry;
        drop(running);
        for _ in 0..STARTS {
            let begin = Instant::now();
            let again = contender.start(&program, &site)?;
            measured.start_ms.push(begin.elapsed().as_secs_f64() * 1e3);
            drop(again);
        }
        all.push(measured);
    }
    Ok(all)
}
