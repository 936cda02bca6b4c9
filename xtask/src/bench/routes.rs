//! What a hundred thousand routes cost: finding one of them, and changing one while requests come in.
//!
//! Two gateways on one core, one with few routes and one with many, take the same load in interleaved rounds. Which route
//! a request asks for is drawn by the load generator: from as many routes as the small gateway has, or from all.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;
use testkit::{Client, Gateway, Launch};

use super::contenders;
use super::load::{self, Saturation};
use super::{Args, pace, procfs, report};
use crate::{packages, workspace};

const FEW: usize = 100;
const MANY: usize = 100_000;
/// Connections to the Admin API while routes are made.
const WRITERS: usize = 8;
/// From one change to the next.
const APART: Duration = Duration::from_millis(100);
/// The route that keeps its path while others change.
const STEADY: &str = "/r50000/";

pub(super) fn run(args: &Args) -> Result<()> {
    packages::ensure(packages::BENCH_PROXY)?;
    let folder = workspace::target()?.join("bench/routes");
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => std::fs::create_dir_all(&folder)?,
    }
    let program = match &args.weir {
        Some(program) => std::fs::canonicalize(program)?,
        None => contenders::weir_program()?,
    };
    let (_origin, origin) = contenders::start_origin(&folder.join("origin"), args.cores.load)?;
    let few = start(&program, &folder.join("few"), args.cores.proxy)?;
    let many = start(&program, &folder.join("many"), args.cores.proxy)?;
    let filling = Instant::now();
    fill(&few, FEW, &origin.to_string())?;
    fill(&many, MANY, &origin.to_string())?;
    println!("{MANY} routes made in {:.0} s", filling.elapsed().as_secs_f64());

    let saturation = Saturation { folder, core: args.cores.load, connections: args.connections };
    let found = look_ups(&few, &many, &saturation, args)?;
    let changed = changes(&many, args)?;
    let text = format!("{found}\n{changed}");
    let conditions =
        format!("{}; {} interleaved rounds of {} s, medians.", report::machine()?, args.rounds, args.seconds);
    println!("\n{text}\n{conditions}");
    match &args.write {
        Some(file) => report::put(file, "routes", &format!("{conditions}\n\n{text}")),
        None => Ok(()),
    }
}

fn start(program: &Path, prefix: &Path, core: usize) -> Result<Gateway> {
    let launch = Launch::new(program).prefix(prefix).under(["taskset", "-c", &core.to_string()]);
    let settings = [("WEIR_WORKERS", "1"), ("WEIR_LOG_LEVEL", "warn"), ("WEIR_STATUS_LISTEN", "off")];
    Ok(settings.into_iter().fold(launch, |launch, (name, value)| launch.env(name, value)).try_start()?)
}

/// Makes so many routes of one service, half of them with a host.
fn fill(gateway: &Gateway, count: usize, origin: &str) -> Result<()> {
    let service =
        gateway.ask_admin("POST", "/services", &json!({"name": "s", "url": format!("http://{origin}")}));
    if service.status != 201 {
        bail!("{} {}", service.status, service.text());
    }
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
    let work = || -> Result<()> {
        let mut client = Client::connect(gateway.admin())?;
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= count {
                return Ok(());
            }
            let hosts = (n % 2 == 1).then(|| vec![host(n)]);
            let route =
                json!({"name": format!("r{n}"), "paths": [format!("/r{n}/")], "hosts": hosts}).to_string();
            let json = [("Content-Type", "application/json")];
            let answer = client.request("POST", "/services/s/routes", &json, route.as_bytes())?;
            if answer.status != 201 {
                bail!("{route}: {} {}", answer.status, answer.text());
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                if let (Err(error), Ok(mut failed)) = (work(), failed.lock()) {
                    *failed = Some(error);
                }
            });
        }
    });
    match failed.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(()),
    }
}

fn host(route: usize) -> String {
    format!("h{}.test", route % 1000)
}

/// The cost of a request by how many routes there are, and how many of them are asked for.
fn look_ups(few: &Gateway, many: &Gateway, saturation: &Saturation, args: &Args) -> Result<String> {
    let cases = [
        ("100 routes", few, FEW),
        ("100,000 routes, 100 of them asked for", many, FEW),
        ("100,000 routes, all of them asked for", many, MANY),
    ];
    let mut costs = [const { Vec::new() }; 3];
    for round in 0..=args.rounds {
        for ((title, gateway, asked), costs) in cases.iter().zip(&mut costs) {
            let before = procfs::cpu_seconds(gateway.pid());
            let outcome = saturation.run_random(gateway.proxy(), *asked, args.seconds)?;
            let cost = (procfs::cpu_seconds(gateway.pid()) - before) * 1e6 / outcome.requests as f64;
            // The first round makes connections and warms caches.
            if round > 0 {
                println!("  {round} {title:<40} {cost:6.1} µs CPU");
                costs.push(cost);
            }
        }
    }
    let rows = cases.iter().zip(&costs).map(|((title, ..), of)| {
        let ratios: Vec<f64> = of.iter().zip(&costs[0]).map(|(cost, base)| cost / base).collect();
        vec![
            (*title).to_owned(),
            format!("{:.1} µs", report::median(of)),
            format!("{:.2}×", report::median(&ratios)),
        ]
    });
    Ok(report::table(&["", "CPU per request", "to 100 routes"], &rows.collect::<Vec<_>>()))
}

/// How long requests wait while routes change, beside while they do not, and how long a change takes to be felt.
fn changes(gateway: &Gateway, args: &Args) -> Result<String> {
    let pace = pace::Args {
        addr: gateway.proxy(),
        path: STEADY.to_owned(),
        header: Vec::new(),
        rate: args.rate,
        connections: args.connections,
        seconds: args.seconds,
    };
    let (mut quiet, mut busy, mut felt) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        quiet.push(load::at_fixed_rate(&pace, args.cores.load)?);
        let (outcome, times) = thread::scope(|scope| -> Result<_> {
            let paced = scope.spawn(|| load::at_fixed_rate(&pace, args.cores.load));
            let times = change(gateway, felt.len(), || paced.is_finished())?;
            Ok((paced.join().ok().context("the load")??, times))
        })?;
        busy.push(outcome);
        felt.extend(times);
    }
    let wait = |of: &[load::Outcome], figure: fn(&load::Outcome) -> f64| {
        format!("{:.0} µs", report::median(&of.iter().map(figure).collect::<Vec<_>>()))
    };
    let row = |title: &str, of: &[load::Outcome]| {
        vec![title.to_owned(), wait(of, |outcome| outcome.p50_us), wait(of, |outcome| outcome.p99_us)]
    };
    let rows = [row("no changes", &quiet), row("ten changes a second", &busy)];
    let ms: Vec<f64> = felt.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    let (middle, worst) = (report::median(&ms), ms.iter().copied().fold(0.0, f64::max));
    Ok(format!(
        "{}\nFrom asking for a change to a request that goes by it, {} changes: median {middle:.1} ms, worst {worst:.1} ms.\n",
        report::table(&["100,000 routes", "p50", "p99"], &rows),
        ms.len()
    ))
}

/// Changes one route after the other until it is time to stop. Gives how long each took to be felt.
fn change(gateway: &Gateway, from: usize, stop: impl Fn() -> bool) -> Result<Vec<Duration>> {
    let (mut admin, mut client) = (Client::connect(gateway.admin())?, Client::connect(gateway.proxy())?);
    let mut times = Vec::new();
    while !stop() {
        let begin = Instant::now();
        let n = from + times.len();
        let (route, path) = (format!("/routes/r{n}"), format!("/changed-{n}/"));
        let body = json!({ "paths": [path] }).to_string();
        let answer =
            admin.request("PATCH", &route, &[("Content-Type", "application/json")], body.as_bytes())?;
        if answer.status != 200 {
            bail!("PATCH {route}: {} {}", answer.status, answer.text());
        }
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", host(n));
        let status = client.send(request.as_bytes())?.status;
        if status != 200 {
            bail!("{path} is answered {status} after its route was changed");
        }
        times.push(begin.elapsed());
        thread::sleep(APART.saturating_sub(begin.elapsed()));
    }
    Ok(times)
}
