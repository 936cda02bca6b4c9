//! What a server counts, in Prometheus' text format.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::pollen::Form;

/// Why a peer got no seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Refusal {
    /// It asked too often.
    PeerRate,
    /// All together did.
    OverallRate,
    /// It has too many connections.
    PeerConnections,
    /// All together have.
    Connections,
    /// The TLS handshake failed or took too long.
    Handshake,
    /// What it sent is no request.
    Request,
    /// It took too long to send it.
    Timeout,
    /// The kernel gave no randomness.
    Randomness,
}

/// In the order of the enumeration.
const REFUSALS: [(Refusal, &str); 8] = [
    (Refusal::PeerRate, "peer_rate"),
    (Refusal::OverallRate, "overall_rate"),
    (Refusal::PeerConnections, "peer_connections"),
    (Refusal::Connections, "connections"),
    (Refusal::Handshake, "handshake"),
    (Refusal::Request, "request"),
    (Refusal::Timeout, "timeout"),
    (Refusal::Randomness, "randomness"),
];

#[derive(Default)]
pub(super) struct Metrics {
    text: AtomicU64,
    json: AtomicU64,
    refusals: [AtomicU64; REFUSALS.len()],
    drawn_bytes: AtomicU64,
}

impl Metrics {
    pub(super) fn answered(&self, form: Form, drawn_bytes: usize) {
        let answers = match form {
            Form::Text => &self.text,
            Form::Json => &self.json,
        };
        answers.fetch_add(1, Ordering::Relaxed);
        self.drawn_bytes.fetch_add(drawn_bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn refused(&self, why: Refusal) {
        if let Some(count) = self.refusals.get(why as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All of it; `connections` are open at the moment.
    pub(super) fn page(&self, connections: usize) -> String {
        let mut page = String::new();
        let mut family = |name: &str, kind: &str, help: &str, values: &[(String, u64)]| {
            let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in values {
                let _ = writeln!(page, "{name}{labels} {value}");
            }
        };
        let value = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let answers = [("text", &self.text), ("json", &self.json)]
            .map(|(form, count)| (format!("{{form=\"{form}\"}}"), value(count)));
        family("weir_seed_answers_total", "counter", "Seeds given.", &answers);
        let refusals: Vec<_> = REFUSALS
            .iter()
            .zip(&self.refusals)
            .map(|((_, reason), count)| (format!("{{reason=\"{reason}\"}}"), value(count)))
            .collect();
        family("weir_seed_refusals_total", "counter", "Requests and connections refused.", &refusals);
        let drawn = [(String::new(), value(&self.drawn_bytes))];
        family("weir_seed_drawn_bytes_total", "counter", "Bytes drawn from the kernel for seeds.", &drawn);
        let open = [(String::new(), connections as u64)];
        family("weir_seed_connections", "gauge", "Connections that are open.", &open);
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_line() {
        for (at, (reason, _)) in REFUSALS.iter().enumerate() {
            assert_eq!(*reason as usize, at);
        }
        let metrics = Metrics::default();
        metrics.answered(Form::Json, 64);
        metrics.refused(Refusal::Randomness);
        let page = metrics.page(3);
        for line in [
            "weir_seed_answers_total{form=\"json\"} 1",
            "weir_seed_answers_total{form=\"text\"} 0",
            "weir_seed_refusals_total{reason=\"randomness\"} 1",
            "weir_seed_drawn_bytes_total 64",
            "weir_seed_connections 3",
        ] {
            assert!(page.lines().any(|other| other == line), "{line} in {page}");
        }
    }
}
