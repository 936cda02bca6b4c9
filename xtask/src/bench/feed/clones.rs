//! One guest, frozen and restored twice: how long both draw the same, with and without a guard.

use std::time::Duration;

use anyhow::{Result, anyhow};
use testkit::lab::{Clones, Lab, Programs, Tell, clone};

use super::guest_that_draws;
use crate::bench::report;

/// How long a clone draws.
const TIME: Duration = Duration::from_secs(3);

/// How clones learn of it, and who guards them.
struct Way {
    title: &'static str,
    series: &'static str,
    tell: Tell,
    daemon: &'static str,
}

const WAYS: [Way; 4] = [
    Way { title: "6.1, told nothing, no guard", series: "6.1", tell: Tell::Nothing, daemon: "" },
    Way {
        title: "6.1, the hypervisor's word, weir-feed",
        series: "6.1",
        tell: Tell::Word,
        daemon: "/usr/sbin/weir-feed --word device:/dev/ttyS1",
    },
    Way { title: "6.12, VMGenID, no guard", series: "6.12", tell: Tell::GenerationId, daemon: "" },
    Way {
        title: "6.12, VMGenID, weir-feed",
        series: "6.12",
        tell: Tell::GenerationId,
        daemon: "/usr/sbin/weir-feed",
    },
];

/// The table.
pub(super) fn run(lab: &Lab, programs: &Programs, rounds: u32) -> Result<String> {
    let mut found: Vec<Vec<Clones>> = WAYS.iter().map(|_| Vec::new()).collect();
    for round in 1..=rounds {
        for (way, found) in WAYS.iter().zip(&mut found) {
            let kernel = lab.qemu(way.series).map_err(|why| anyhow!(why))?;
            let clones = clone(&kernel, &guest_that_draws(programs, way.daemon), way.tell, TIME)?;
            println!("{round}: {:40} {} draws the same", way.title, clones.same().0);
            found.push(clones);
        }
    }
    let rows: Vec<_> = WAYS.iter().zip(&found).map(|(way, clones)| row(way, clones)).collect();
    let head = ["", "draws the same", "for", "generation published after", "the same in both after that"];
    Ok(format!(
        "Two clones of one guest that draws 16 bytes every 2 ms, from the moment that they run again:\n\n{}",
        report::table(&head, &rows)
    ))
}

fn row(way: &Way, clones: &[Clones]) -> Vec<String> {
    let ms = |time: Option<Duration>| time.map_or(f64::INFINITY, |time| time.as_secs_f64() * 1e3);
    let count: Vec<_> = clones.iter().map(|clones| clones.same().0 as f64).collect();
    let window: Vec<_> = clones.iter().map(|clones| ms(clones.same().1)).collect();
    let published: Vec<_> = clones.iter().flat_map(Clones::published_after).map(ms).collect();
    let guarded = !way.daemon.is_empty();
    let common: usize = clones.iter().map(|clones| clones.common_once_guarded().len()).sum();
    let range = |values: &[f64], unit: &str| {
        let text =
            |value: f64| if value.is_finite() { format!("{value:.0}{unit}") } else { "ever".to_owned() };
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let ends = (sorted.first().copied().unwrap_or(f64::NAN), sorted.last().copied().unwrap_or(f64::NAN));
        format!("{} ({}–{})", text(report::median(values)), text(ends.0), text(ends.1))
    };
    vec![
        way.title.to_owned(),
        range(&count, ""),
        range(&window, " ms"),
        if guarded { range(&published, " ms") } else { String::new() },
        if guarded { format!("{common}") } else { String::new() },
    ]
}
