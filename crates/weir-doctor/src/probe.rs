//! A connection that was tried, phase by phase: where do the seconds go?
//!
//! "Why do my TLS connections sometimes take 30 seconds" has three common answers: a name server that does not answer, a
//! network path that drops the first packets, and, on old or unready kernels, a program that waits for randomness.
//! The phases tell them apart. Facts only; connecting is the caller's.

use std::time::Duration;

use weir_kernel::host::Host;

use crate::remedy::{and, early_source, quoted, seconds};
use crate::report::{Finding, Verdict};
use crate::waiting::waiting;

/// From this time on a phase counts as slow: resolvers and TCP repeat themselves after one second at the earliest.
pub const SLOW: Duration = Duration::from_secs(1);

/// The phases of a connection, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// From the name to addresses.
    Name,
    /// From an address to a TCP connection.
    Connect,
    /// From there to a TLS session.
    Tls,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Name => "name resolution",
            Self::Connect => "the TCP connection",
            Self::Tls => "the TLS handshake",
        }
    }
}

/// Where a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeFailure {
    /// In which phase.
    pub phase: Phase,
    /// Why.
    pub why: String,
}

/// A connection that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The host and the port.
    pub target: String,
    /// What the phases took that were reached.
    pub phases: Vec<(Phase, Duration)>,
    /// Where it ended, if not in a TLS session.
    pub failure: Option<ProbeFailure>,
    /// What is wrong with the server's certificate. It does not end the connection here.
    pub certificate: Option<String>,
}

pub(crate) fn findings(host: &Host, probe: &Probe) -> Vec<Finding> {
    let times: Vec<String> = probe
        .phases
        .iter()
        .map(|(phase, took)| format!("{} {}", phase.name(), milliseconds(*took)))
        .collect();
    let what = match &probe.failure {
        Some(failure) => format!("{}: failed at {}: {}", probe.target, failure.phase.name(), failure.why),
        None => format!("{}: {}", probe.target, times.join(", ")),
    };
    let slow = probe.phases.iter().find(|(_, took)| *took >= SLOW);
    let mut findings = vec![match (&probe.failure, slow) {
        (Some(failure), _) => failed(host, probe, what, failure.phase, &times),
        (None, Some((phase, took))) => slow_phase(host, probe, what, *phase, *took),
        (None, None) => Finding::ok("probe.connection", what, next_to_who_waits(host, "No phase was slow")),
    }];
    if let Some(wrong) = &probe.certificate {
        let why = "Clients that check it will refuse; the times above are not affected.";
        let what = format!("{}: the certificate is not valid here: {wrong}", probe.target);
        findings.push(Finding::new("probe.certificate", Verdict::Note, what, why));
    }
    findings
}

fn failed(host: &Host, probe: &Probe, what: String, phase: Phase, times: &[String]) -> Finding {
    if waits_for_generator(host, phase) {
        return unready(host, what, "The handshake did not end".to_owned());
    }
    let before = if times.is_empty() { String::new() } else { format!(", after {}", times.join(" and ")) };
    let cause = match phase {
        Phase::Name => "Without an address there is nothing to connect to",
        Phase::Connect => "The name is known and nobody answers there",
        Phase::Tls => "Somebody answers there and gives no TLS session",
    };
    let why = next_to_who_waits(host, &format!("{cause}{before}"));
    Finding::new("probe.connection", Verdict::Warning, what, why).command(look_closer(probe, phase))
}

fn slow_phase(host: &Host, probe: &Probe, what: String, phase: Phase, took: Duration) -> Finding {
    if waits_for_generator(host, phase) {
        return unready(host, what, format!("The handshake took {}", seconds(took)));
    }
    let cause = match phase {
        Phase::Name => "A name server does not answer at once; randomness has no part in that",
        Phase::Connect => "Packets were lost or dropped on the way; randomness has no part in that",
        Phase::Tls => "This host's own handshake waited for no randomness, so the server or the path is slow",
    };
    let command = match phase {
        Phase::Tls => "weir doctor  # on the server".to_owned(),
        _ => look_closer(probe, phase),
    };
    Finding::new("probe.connection", Verdict::Warning, what, next_to_who_waits(host, cause)).command(command)
}

/// Whether a phase needs what this host's generator does not give yet.
fn waits_for_generator(host: &Host, phase: Phase) -> bool {
    phase == Phase::Tls && host.readiness.ready == Ok(false)
}

fn unready(host: &Host, what: String, handshake: String) -> Finding {
    let why = next_to_who_waits(host, &format!("{handshake}, and this host's generator is not ready"));
    Finding::new("probe.connection", Verdict::Critical, what, why).command(early_source(host))
}

/// How to look at a phase by itself.
fn look_closer(probe: &Probe, phase: Phase) -> String {
    let target = &probe.target;
    let (host, port) = target.rsplit_once(':').unwrap_or((target, "443"));
    let host = &quoted(host.trim_matches(['[', ']']));
    match phase {
        Phase::Name => format!("resolvectl query {host} || getent ahosts {host}"),
        Phase::Connect => format!("mtr --report --tcp --port {port} {host}"),
        Phase::Tls => format!("openssl s_client -connect {}", quoted(target)),
    }
}

/// The sentence, and who waits for randomness on this host.
fn next_to_who_waits(host: &Host, sentence: &str) -> String {
    let names = waiting(host);
    if names.is_empty() {
        format!("{sentence}; no process on this host is seen to wait for randomness.")
    } else {
        format!(
            "{sentence}; on this host {} wait{} for randomness.",
            and(&names),
            if names.len() == 1 { "s" } else { "" }
        )
    }
}

fn milliseconds(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    if ms < 10.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}
