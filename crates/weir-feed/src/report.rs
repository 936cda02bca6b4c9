//! What the daemon says of itself to others: `--status` for people and machines, and metrics for Prometheus.

use std::fmt::Write;

use serde_json::{Value, json};
use weir_entropy::State;
use weir_kernel::host::FeedStatus;
use weir_kernel::host::feed::{Event, FeedSource};

/// A source's account, as the status file has it.
pub(crate) fn source(status: &weir_entropy::Status) -> FeedSource {
    let why = match &status.state {
        State::Absent { reason } => reason.clone(),
        State::SetAside { why, .. } => why.clone(),
        _ => status.failure.clone().unwrap_or_default(),
    };
    FeedSource {
        name: status.name.clone(),
        state: status.state.word().to_owned(),
        claim: status.claim,
        measured: status.measured,
        samples: status.samples,
        failures: status.failures,
        credited_bits: status.credited_bits,
        why,
    }
}

/// For people.
pub(crate) fn text(status: &FeedStatus, runs: bool, now: i64) -> String {
    let mut text = String::new();
    let started = Event { at: status.started, why: String::new() };
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:<12}{value}");
    };
    match (runs, status.phase.as_str()) {
        (true, _) => line(
            "weir-feed",
            &format!("{}, process {}, started {}", status.version, status.pid, started.ago(now)),
        ),
        (false, "ended") => line("weir-feed", &format!("{}, ended as it should", status.version)),
        (false, _) => {
            line("weir-feed", &format!("{}, not running: process {} is gone", status.version, status.pid))
        }
    }
    line("mode", &mode(status));
    match status.ready_after_us {
        Some(0) => line("kernel", "was ready before the daemon started"),
        Some(us) => line("kernel", &format!("ready {:.3} s after the daemon started", us as f64 / 1e6)),
        None => line("kernel", "NOT READY"),
    }
    let event =
        |event: &Option<Event>| event.as_ref().map(|event| format!("{}: {}", event.ago(now), event.why));
    line("fed", &event(&status.fed).unwrap_or_else(|| "not yet".to_owned()));
    line("reseeded", &event(&status.reseeded).unwrap_or_else(|| "not yet".to_owned()));
    let totals = (status.rounds, status.credited_bits, status.reseeds);
    line("in all", &format!("{} rounds, {} bits credited, {} reseeds", totals.0, totals.1, totals.2));
    line(
        "generation",
        &format!(
            "{}, last clone {}",
            status.generation,
            event(&status.cloned).unwrap_or_else(|| "never".to_owned())
        ),
    );
    line(
        "watches",
        &if status.watches.is_empty() {
            "nothing that would tell of a clone".to_owned()
        } else {
            status.watches.join(", ")
        },
    );
    line("seed file", status.seed_file.as_deref().unwrap_or("none"));
    status.notes.iter().for_each(|note| line("note", note));
    let _ = writeln!(
        text,
        "\n{:<16}{:<13}{:>7}{:>10}{:>10}{:>9}{:>10}",
        "source", "state", "claim", "measured", "samples", "failures", "credited"
    );
    for source in &status.sources {
        let measured = source.measured.map_or("-".to_owned(), |bits| format!("{bits:.2}"));
        let _ = writeln!(
            text,
            "{:<16}{:<13}{:>7.2}{measured:>10}{:>10}{:>9}{:>10}  {}",
            source.name,
            source.state,
            source.claim,
            source.samples,
            source.failures,
            source.credited_bits,
            source.why
        );
    }
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn mode(status: &FeedStatus) -> String {
    match status.phase.as_str() {
        "watermark" => format!("keeps the estimate above {} bits", status.setting),
        "schedule" => {
            format!("reseeds every {} s, and when the machine was cloned or resumed", status.setting)
        }
        "seeding" => "makes the kernel ready".to_owned(),
        other => other.to_owned(),
    }
}

/// For machines.
pub(crate) fn json(status: &FeedStatus, runs: bool) -> Value {
    let event = |event: &Option<Event>| event.as_ref().map(|event| json!({"at": event.at, "why": event.why}));
    let source = |source: &FeedSource| {
        json!({
            "name": source.name, "state": source.state, "claim_bits": source.claim,
            "measured_bits": source.measured, "samples": source.samples, "failures": source.failures,
            "credited_bits": source.credited_bits, "why": source.why,
        })
    };
    json!({
        "version": status.version,
        "running": runs,
        "pid": status.pid,
        "started": status.started,
        "phase": status.phase,
        "setting": status.setting,
        "ready_after_us": status.ready_after_us,
        "fed": event(&status.fed),
        "rounds": status.rounds,
        "credited_bits": status.credited_bits,
        "reseeded": event(&status.reseeded),
        "reseeds": status.reseeds,
        "generation": status.generation,
        "cloned": event(&status.cloned),
        "watches": status.watches,
        "seed_file": status.seed_file,
        "notes": status.notes,
        "sources": status.sources.iter().map(source).collect::<Vec<_>>(),
    })
}

/// Metrics in Prometheus' text format (version 0.0.4), for the node exporter's textfile collector.
pub(crate) fn metrics(status: &FeedStatus, available_bits: Option<u32>) -> String {
    let mut text = String::new();
    let mut one = |name: &str, kind: &str, help: &str, value: f64| {
        let _ = write!(
            text,
            "# HELP weir_feed_{name} {help}\n# TYPE weir_feed_{name} {kind}\nweir_feed_{name} {value}\n"
        );
    };
    let at = |event: &Option<Event>| event.as_ref().map_or(0.0, |event| event.at as f64);
    one(
        "ready",
        "gauge",
        "Whether the kernel's generator is ready.",
        f64::from(u8::from(status.ready_after_us.is_some())),
    );
    if let Some(bits) = available_bits {
        one(
            "entropy_available_bits",
            "gauge",
            "What the kernel says it holds; 256 is full on new kernels.",
            bits.into(),
        );
    }
    one("start_time_seconds", "gauge", "When the daemon was started.", status.started as f64);
    one("rounds_total", "counter", "How often the kernel was given something.", status.rounds as f64);
    one("credited_bits_total", "counter", "Entropy credited.", status.credited_bits as f64);
    one(
        "reseeds_total",
        "counter",
        "How often the kernel was made to take a new key.",
        status.reseeds as f64,
    );
    one("last_reseed_timestamp_seconds", "gauge", "When it was so last; 0 never.", at(&status.reseeded));
    one(
        "generation",
        "gauge",
        "Which life of the machine this is, counted in this boot.",
        status.generation as f64,
    );
    one(
        "last_clone_timestamp_seconds",
        "gauge",
        "When the machine was cloned or restored last; 0 never.",
        at(&status.cloned),
    );
    let mut each = |name: &str, kind: &str, help: &str, value: fn(&FeedSource) -> f64| {
        let _ =
            write!(text, "# HELP weir_feed_source_{name} {help}\n# TYPE weir_feed_source_{name} {kind}\n");
        for source in &status.sources {
            let _ = writeln!(
                text,
                "weir_feed_source_{name}{{source=\"{}\"}} {}",
                label(&source.name),
                value(source)
            );
        }
    };
    each("healthy", "gauge", "Whether the source passes its tests.", |source| {
        f64::from(u8::from(source.is_good()))
    });
    each("set_aside", "gauge", "Whether the source was set aside by its tests.", |source| {
        f64::from(u8::from(source.state == "set-aside"))
    });
    each("claim_bits", "gauge", "Min-entropy that a sample counts for.", |source| source.claim);
    each(
        "measured_bits",
        "gauge",
        "What the last start-up test measured of a sample; 0 nothing yet.",
        |source| source.measured.unwrap_or(0.0),
    );
    each("samples_total", "counter", "Samples taken.", |source| source.samples as f64);
    each("failures_total", "counter", "How often the source was set aside.", |source| source.failures as f64);
    each("credited_bits_total", "counter", "Entropy credited for the source.", |source| {
        source.credited_bits as f64
    });
    text
}

/// A label's value, escaped.
fn label(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> FeedStatus {
        let source = FeedSource {
            name: "command:/bin/x \"y\"".to_owned(),
            state: "healthy".to_owned(),
            ..FeedSource::default()
        };
        let reseeded = Some(Event { at: 1000, why: "schedule".to_owned() });
        FeedStatus {
            phase: "schedule".to_owned(),
            setting: 600,
            reseeded,
            sources: vec![source],
            ..FeedStatus::default()
        }
    }

    #[test]
    fn metrics_name_each_family_once_with_its_type_and_escape_labels() {
        let text = metrics(&status(), Some(256));
        let families: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let mut names: Vec<&str> = families.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(names.len(), 16);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 16);
        assert!(text.contains("weir_feed_source_healthy{source=\"command:/bin/x \\\"y\\\"\"} 1\n"));
        assert!(text.contains("weir_feed_last_reseed_timestamp_seconds 1000\n"));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
        }
    }

    #[test]
    fn people_are_told_when_and_why() {
        let text = text(&status(), true, 1090);
        assert!(text.contains("reseeded    90 s ago: schedule\n"), "{text}");
        assert!(text.contains("kernel      NOT READY\n"));
        assert!(text.contains("reseeds every 600 s"));
        assert!(super::text(&status(), false, 0).contains("not running"));
    }
}
