//! The daemon weir-feed on real kernels, beside the daemons that it replaces: how long from a daemon's start until the kernel is
//! ready and a reader of /dev/random has its answer, what the daemon costs, and how long two clones of a machine draw the same.
//!
//! Guests are made and run by [`testkit::lab`]; all times are by the guest's own clock. No guest has a virtio-rng, and none in
//! QEMU has RDRAND. A guest of User-mode Linux sees this machine's CPU, and has a /dev/hwrng that is the host's own generator:
//! what makes use of either is told apart.
//!
//! Kernels and other daemons come from the lab's folder ([`testkit::lab::Lab`]). If there is none, the script that fills it is
//! run, which lies beside the tree; without the script there is nothing to measure, and a line says so.

mod clones;

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use serde_json::{Value, json};
use testkit::lab::{Initramfs, Kernel, Lab, Machine, Programs, Said};

use super::{Args, What, report};
use crate::{packages, process, workspace};

/// How long a guest waits for its kernel.
const PATIENCE_S: u32 = 15;
/// How long a daemon is watched when there is nothing to do for it.
const IDLE_S: u32 = 3;
/// For a guest that hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// Somebody who makes a kernel ready.
struct Contender {
    name: &'static str,
    /// The package in the lab's folder, the program in it, and the folder of libraries from another package.
    from: Option<(&'static str, &'static str, Option<&'static str>)>,
    /// Nothing: nobody.
    command_line: &'static str,
    ours: bool,
    /// What it gathers by comes from this machine rather than from the guest: shown, and not compared with.
    by_host: bool,
    /// Where it takes part: User-mode Linux, QEMU.
    takes_part: (bool, bool),
}

const NOBODY: Contender = Contender {
    name: "unaided",
    from: None,
    command_line: "",
    ours: false,
    by_host: false,
    takes_part: (true, true),
};

static CONTENDERS: [Contender; 7] = [
    NOBODY,
    Contender {
        name: "haveged",
        from: Some(("haveged", "usr/sbin/haveged", Some("libhavege2/usr/lib/x86_64-linux-gnu"))),
        command_line: "/usr/sbin/haveged -F -v 1 -w 1024",
        ..NOBODY
    },
    Contender {
        name: "jitterentropy-rngd",
        from: Some(("jitterentropy-rngd", "usr/sbin/jitterentropy-rngd", None)),
        command_line: "/usr/sbin/jitterentropy-rngd -v",
        ..NOBODY
    },
    Contender {
        name: "rngd 5",
        from: Some(("rng-tools5", "usr/sbin/rngd", None)),
        command_line: "/usr/sbin/rngd -f -v",
        takes_part: (false, true),
        ..NOBODY
    },
    Contender {
        name: "rngd 5, by the host's generator",
        from: Some(("rng-tools5", "usr/sbin/rngd", None)),
        command_line: "/usr/sbin/rngd -f -v",
        by_host: true,
        takes_part: (true, false),
        ..NOBODY
    },
    Contender {
        name: "weir-feed",
        // By timing alone, as the two before it: the CPU's instructions would be the host's.
        command_line: "/usr/sbin/weir-feed --source jitter",
        ours: true,
        ..NOBODY
    },
    Contender {
        name: "weir-feed, by all there is",
        command_line: "/usr/sbin/weir-feed",
        ours: true,
        by_host: true,
        takes_part: (true, false),
        ..NOBODY
    },
];

/// A guest in which contenders are compared.
struct Place {
    title: &'static str,
    kernel: Kernel,
    uml: bool,
    reader: bool,
}

/// What a contender did in one guest, round by round. A time that did not come is infinite.
#[derive(Default)]
struct Measured {
    ready_ms: Vec<f64>,
    answered_ms: Vec<f64>,
    cpu_ms: Vec<f64>,
    idle_cpu_ms: Vec<f64>,
    rss_kib: Vec<f64>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let places = match places() {
        Ok(places) => places,
        Err(why) => {
            eprintln!("SKIPPED: bench feed: {why:#}");
            return Ok(());
        }
    };
    let programs = Programs::build(workspace::root()).map_err(|why| anyhow!(why))?;
    let lab = Lab::find().map_err(|why| anyhow!(why))?;
    let (mut text, mut all) = (String::new(), Vec::new());
    for place in &places {
        let measured = compare(&lab, &programs, place, args.rounds)?;
        text += &format!("{}:\n\n{}\n", place.title, table(place, &measured));
        all.extend(measured.iter().map(|(one, measured)| to_json(place, one, measured)));
    }
    text += &clones::run(&lab, &programs, args.rounds)?;
    let conditions = conditions(&lab, args.rounds)?;
    println!("\n{text}\n{conditions}");
    if let Some(file) = &args.json {
        // The name itself is the proxies' file, when all are measured in one run.
        let file = if args.what == What::All { file.with_extension("feed.json") } else { file.clone() };
        std::fs::write(
            &file,
            serde_json::to_vec_pretty(&json!({"conditions": conditions, "measured": all}))?,
        )?;
    }
    match &args.write {
        Some(file) => report::put(file, "feed", &format!("{conditions}\n\n{text}")),
        None => Ok(()),
    }
}

/// What the numbers were measured on and with.
fn conditions(lab: &Lab, rounds: u32) -> Result<String> {
    let mut versions: Vec<String> = Vec::new();
    for package in CONTENDERS.iter().filter_map(|one| one.from.map(|(package, ..)| package)) {
        let version = format!("{package} {}", lab.version(package).unwrap_or_default());
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    Ok(format!(
        "{}; guests with one CPU, QEMU without KVM, without RDRAND and virtio-rng; {rounds} interleaved rounds, medians, in \
         brackets the least and the most; times by the guest's clock from the start of the daemon. {}, weir-feed {}.",
        report::machine()?,
        versions.join(", "),
        env!("CARGO_PKG_VERSION"),
    ))
}

/// The guests, once the lab's folder is there.
fn places() -> Result<Vec<Place>> {
    if Lab::find().is_err() {
        let script = workspace::root().join("../shared/lab/setup.sh");
        if !script.is_file() {
            bail!("no kernels in {}, and no script to bring them", Lab::place().display());
        }
        process::check(Command::new(script).env("LAB_WORK", Lab::place()))?;
    }
    packages::ensure(packages::BENCH_FEED)?;
    let lab = Lab::find().map_err(|why| anyhow!(why))?;
    let (old, new) = (lab.uml("bullseye"), lab.qemu("6.1"));
    let (old, new) = (old.map_err(|why| anyhow!(why))?, new.map_err(|why| anyhow!(why))?);
    Ok(vec![
        Place {
            title: "User-mode Linux 5.10.46, which counts to 4096, a reader of /dev/random waiting",
            kernel: old,
            uml: true,
            reader: true,
        },
        Place { title: "Linux 6.1 in QEMU, nobody reading", kernel: new.clone(), uml: false, reader: false },
        Place {
            title: "Linux 6.1 in QEMU, a reader of /dev/random waiting, for whom the kernel gathers by itself",
            kernel: new,
            uml: false,
            reader: true,
        },
    ])
}

/// Every contender once a round.
fn compare(
    lab: &Lab,
    programs: &Programs,
    place: &Place,
    rounds: u32,
) -> Result<Vec<(&'static Contender, Measured)>> {
    let takes_part = |one: &&Contender| if place.uml { one.takes_part.0 } else { one.takes_part.1 };
    let mut guests = Vec::new();
    for one in CONTENDERS.iter().filter(takes_part) {
        match guest(lab, programs, place, one) {
            Some(guest) => guests.push((one, guest, Measured::default())),
            None => eprintln!("SKIPPED: bench feed: {}: not in {}", one.name, Lab::place().display()),
        }
    }
    for round in 1..=rounds {
        for (one, guest, measured) in &mut guests {
            let said = Machine::boot(&place.kernel, guest, &[])?.finish(LIMIT)?;
            if let Some(error) = said.text("error") {
                bail!("{}: {error}", one.name);
            }
            measured.note(&said);
            let last = |values: &[f64]| values.last().copied().unwrap_or(f64::INFINITY);
            let (ready, answered) = (last(&measured.ready_ms), last(&measured.answered_ms));
            println!("{round}: {:32} ready {ready:7.1} ms, answered {answered:7.1} ms", one.name);
        }
    }
    Ok(guests.into_iter().map(|(one, _, measured)| (one, measured)).collect())
}

/// A guest with a contender in it; nothing if that is not here.
fn guest(lab: &Lab, programs: &Programs, place: &Place, one: &Contender) -> Option<Vec<u8>> {
    let mut guest = Initramfs::new(&programs.guest);
    let path = one.command_line.split(' ').next().unwrap_or_default();
    if let Some((package, program, libraries)) = one.from {
        let (program, libraries) = lab.daemon(package, program, libraries)?;
        guest.program(path, &program, libraries.as_deref());
    } else if one.ours {
        guest.program(path, &programs.feed, None);
        guest.folder("/var/lib/weir-feed");
    }
    let reader = if place.reader { "reader blocked\n" } else { "" };
    let daemon = one.command_line;
    guest.file(
        "/plan",
        format!("mode boot\n{reader}patience_s {PATIENCE_S}\nidle_s {IDLE_S}\ndaemon {daemon}\n"),
    );
    Some(guest.finish())
}

impl Measured {
    fn note(&mut self, said: &Said) {
        let number = |key| said.number(key).unwrap_or(f64::INFINITY);
        self.ready_ms.push(number("ready_ms"));
        self.answered_ms.push(number("answered_ms"));
        self.cpu_ms.push(number("cpu_ms"));
        self.idle_cpu_ms.push(number("idle_cpu_ms"));
        self.rss_kib.push(number("rss_kib"));
    }
}

/// The times by which contenders are compared: of the reader's answer, where there is a reader.
fn decisive<'a>(place: &Place, measured: &'a Measured) -> &'a [f64] {
    if place.reader { &measured.answered_ms } else { &measured.ready_ms }
}

fn table(place: &Place, measured: &[(&Contender, Measured)]) -> String {
    let others = measured.iter().filter(|(one, _)| !one.ours && !one.by_host);
    let best = others.map(|(_, of)| report::median(decisive(place, of))).fold(f64::INFINITY, f64::min);
    let rest = format!("CPU in {IDLE_S} s at rest");
    let answered: &[&str] = if place.reader { &["answered"] } else { &[] };
    let head =
        [&["", "ready"], answered, &["to the best other", "CPU to settle in", &rest, "memory"]].concat();
    let rows = measured.iter().map(|(one, measured)| {
        let mut row = vec![one.name.to_owned(), spread(&measured.ready_ms)];
        if place.reader {
            row.push(spread(&measured.answered_ms));
        }
        let ratio = report::median(decisive(place, measured)) / best;
        row.push(if ratio.is_finite() { format!("{ratio:.2}×") } else { String::new() });
        let cost = |values: &[f64], divisor: f64, unit: &str| match report::median(values) / divisor {
            _ if one.command_line.is_empty() => String::new(),
            // A process that is gone has no memory; of its time the kernel still knows.
            value if value == 0.0 && unit == "MiB" => "ended".to_owned(),
            value if value < 0.05 => format!("< 0.1 {unit}"),
            value => format!("{value:.1} {unit}"),
        };
        row.extend([cost(&measured.cpu_ms, 1.0, "ms"), cost(&measured.idle_cpu_ms, 1.0, "ms")]);
        row.push(cost(&measured.rss_kib, 1024.0, "MiB"));
        row
    });
    report::table(&head, &rows.collect::<Vec<_>>())
}

/// The median, and between what it lies.
fn spread(values: &[f64]) -> String {
    let time = |ms: f64| match ms {
        ms if !ms.is_finite() => format!("not in {PATIENCE_S} s"),
        ms if ms >= 1000.0 => format!("{:.2} s", ms / 1e3),
        ms => format!("{ms:.0} ms"),
    };
    let (least, most) =
        values.iter().fold((f64::INFINITY, 0.0_f64), |(least, most), &ms| (least.min(ms), most.max(ms)));
    match report::median(values) {
        median if !least.is_finite() => time(median),
        median => format!("{} ({}–{})", time(median), time(least), time(most)),
    }
}

fn to_json(place: &Place, one: &Contender, measured: &Measured) -> Value {
    // JSON has no infinity: what did not come is null.
    json!({"place": place.title, "name": one.name, "ready_ms": measured.ready_ms, "answered_ms": measured.answered_ms,
        "cpu_ms": measured.cpu_ms, "idle_cpu_ms": measured.idle_cpu_ms, "rss_kib": measured.rss_kib})
}

/// A guest with the daemon and what its hooks need.
fn guest_that_draws(programs: &Programs, daemon: &str) -> Vec<u8> {
    let mut guest = Initramfs::new(&programs.guest);
    guest.program("/usr/sbin/weir-feed", &programs.feed, None);
    guest.folder("/var/lib/weir-feed");
    guest.file("/plan", format!("mode draws\npatience_s 60\napart_us 2000\nkept 3000\ndaemon {daemon}\n"));
    guest.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_came_is_told_as_that() {
        assert_eq!(spread(&[30.0, 10.0, 20.0]), "20 ms (10 ms–30 ms)");
        assert_eq!(spread(&[f64::INFINITY; 3]), "not in 15 s");
        assert_eq!(spread(&[1500.0, f64::INFINITY, f64::INFINITY]), "not in 15 s (1.50 s–not in 15 s)");
    }

    #[test]
    fn the_best_other_is_1_and_the_host_s_generator_is_no_other() {
        let place =
            Place { title: "", kernel: Kernel::Qemu(std::path::PathBuf::new()), uml: true, reader: false };
        let ready = |ms: f64| Measured { ready_ms: vec![ms], ..Measured::default() };
        let measured = [
            (&CONTENDERS[0], ready(f64::INFINITY)),
            (&CONTENDERS[1], ready(300.0)),
            (&CONTENDERS[2], ready(200.0)),
            (&CONTENDERS[4], ready(10.0)),
            (&CONTENDERS[5], ready(50.0)),
        ];
        let text = table(&place, &measured);
        let row = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_owned();
        assert!(row("unaided").contains("not in 15 s"), "{text}");
        assert!(row("haveged").contains("1.50×") && row("jitterentropy").contains("1.00×"), "{text}");
        assert!(row("weir-feed").contains("0.25×") && row("host").contains("0.05×"), "{text}");
    }
}
