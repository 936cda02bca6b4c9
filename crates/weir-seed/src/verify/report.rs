//! What a comparison gives: machines, what was compared, findings, and what could not be compared.
//!
//! The types serialize to the JSON form as it is documented in docs/seeding/verify.md. Members may be added under the same
//! schema; renaming or removing one, or changing what it means, takes a new one.

use serde::Serialize;
use weir_report::Verdict;

/// The schema of the JSON form.
pub const SCHEMA: &str = "weir.seed.verify/1";

/// One thing that was found, about all machines that it concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which finding it is; stable.
    pub id: &'static str,
    /// How to take it.
    pub verdict: Verdict,
    /// What was found.
    pub what: String,
    /// The same where it is a list: its beginning and its items, for people, to whom each is shown on a line of its own.
    #[serde(skip)]
    pub list: Option<(String, Vec<String>)>,
    /// What it means.
    pub why: String,
    /// What to do about it, as commands.
    pub commands: Vec<String>,
    /// Which machines, by the first of their names.
    pub machines: Vec<String>,
    /// Which keys, by their fingerprints.
    pub keys: Vec<String>,
    /// Where else, as FILE:LINE or HOST:PORT.
    pub places: Vec<String>,
}

/// Something that could not be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// Of whom: a machine, a server or a file.
    pub of: String,
    /// What.
    pub what: &'static str,
    /// Why not.
    pub why: String,
}

/// A thing that was compared over all machines that have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// What.
    pub what: &'static str,
    /// How many machines, servers or places have it.
    pub among: usize,
    /// Which of these they are: `machines`, `servers`, `places`, `keys`.
    pub unit: &'static str,
    /// How many different ones there are.
    pub values: usize,
    /// Whether no two shared one.
    pub distinct: bool,
}

/// A machine, under all names that it was given by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MachineSummary {
    /// As they were given.
    pub names: Vec<String>,
    /// Whether anything was learnt of it.
    pub reached: bool,
    /// What it calls itself.
    pub hostname: Option<String>,
    /// Name and release of its kernel.
    pub kernel: Option<String>,
    /// Fingerprints of its host keys.
    pub host_keys: Vec<String>,
}

/// The whole of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The gravest of the findings.
    pub verdict: Verdict,
    /// All machines.
    pub machines: Vec<MachineSummary>,
    /// What was compared.
    pub compared: Vec<Compared>,
    /// What was found, the gravest first.
    pub findings: Vec<Finding>,
    /// What could not be compared.
    pub unseen: Vec<Unseen>,
}

impl Report {
    /// 0 nothing is wrong, 1 a warning, 2 something critical, 3 nothing could be looked at.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self.verdict {
            Verdict::Ok | Verdict::Note => 0,
            Verdict::Warning => 1,
            Verdict::Critical => 2,
            Verdict::Unknown => 3,
        }
    }
}
