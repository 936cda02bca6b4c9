//! What the daemon knows of itself, and to whom it is told: status file, metrics, systemd, the log.

use std::path::Path;

use weir_entropy::State;
use weir_kernel::clock;
use weir_kernel::host::FeedStatus;
use weir_kernel::host::feed::Event;

use super::{Daemon, PATIENCE, Phase};
use crate::guard::replace;
use crate::kernel::Kernel;
use crate::log::{debug, notice, warning};
use crate::notify::notify;
use crate::report;

impl Daemon {
    pub(super) fn fed(&mut self, why: &str) {
        self.note_sources();
        self.feeder.sources.rest();
        self.status.fed = event(why);
    }

    pub(super) fn reseeded(&mut self, why: &str) {
        debug!("reseeded: {why}");
        self.status.reseeded = event(why);
    }

    /// What is missing, by the sources' own account.
    pub(super) fn lacking(&self) -> String {
        let states = self.feeder.sources.status();
        let reasons = states.iter().map(|source| {
            let source = report::source(source);
            let why = if source.why.is_empty() { String::new() } else { format!(": {}", source.why) };
            format!("{} is {}{why}", source.name, source.state)
        });
        reasons.collect::<Vec<_>>().join("; ")
    }

    /// Says which sources failed or came back since the last look.
    pub(super) fn note_sources(&mut self) {
        let states = self.feeder.sources.status();
        for status in &states {
            let before = self.sources.iter().find(|source| source.name == status.name);
            let failures = before.map_or(0, |source| source.failures);
            let aside = before.is_some_and(|source| source.state == "set-aside");
            match &status.state {
                State::SetAside { why, .. } if !aside || status.failures > failures => {
                    warning!("{} is set aside: {why}", status.name);
                }
                State::Healthy if aside => notice!("{} passed a new start-up test and is back", status.name),
                _ => {}
            }
        }
        self.sources = states.iter().map(report::source).collect();
    }

    pub(super) fn note(&mut self) {
        let phase = match self.phase {
            Phase::Seeding => "seeding",
            Phase::Watermark => "watermark",
            Phase::Schedule => "schedule",
        };
        phase.clone_into(&mut self.status.phase);
        self.status.setting = match self.phase {
            Phase::Watermark => self.options.watermark_bits.into(),
            _ => self.options.interval.as_secs(),
        };
        self.write_status();
    }

    pub(super) fn write_status(&mut self) {
        if !self.settled {
            return;
        }
        let feeder = &self.feeder;
        (self.status.rounds, self.status.credited_bits) = (feeder.rounds, feeder.credited_bits);
        self.status.reseeds = feeder.reseeds;
        self.status.sources.clone_from(&self.sources);
        let text = self.status.to_string();
        if let Err(error) = replace(&self.options.run_dir.join("status"), text.as_bytes(), 0o644) {
            debug!("{}: {error}", self.options.run_dir.display());
        }
        if let Some(path) = &self.options.metrics {
            let text = report::metrics(&self.status, feeder.kernel.count_bits().ok());
            if let Err(error) = replace(path, text.as_bytes(), 0o644) {
                warning!("{}: {error}", path.display());
            }
        }
    }

    pub(super) fn say(&self) {
        let text = report::text(&self.status, true, clock::unix_seconds());
        text.lines().filter(|line| !line.is_empty()).for_each(|line| notice!("{line}"));
    }

    /// What the last daemon of this boot knew of clones.
    pub(super) fn remember(&mut self, path: &Path) {
        let before = std::fs::read_to_string(path).ok().and_then(|text| FeedStatus::parse(&text));
        if let Some(before) = before.filter(|before| before.boot_id == self.status.boot_id) {
            self.status.cloned = before.cloned;
        }
    }

    /// Tells systemd as soon as what waits for this daemon may go on.
    pub(super) fn tell(&mut self) {
        let ready = self.phase != Phase::Seeding;
        if self.told || !(ready || self.started.elapsed() >= PATIENCE) {
            return;
        }
        self.told = true;
        notify(if ready {
            "READY=1\nSTATUS=The kernel is ready"
        } else {
            "READY=1\nSTATUS=The kernel is not ready"
        });
    }
}

/// Something that happened now.
pub(super) fn event(why: &str) -> Option<Event> {
    Some(Event { at: clock::unix_seconds(), why: why.to_owned() })
}

/// Which boot this is. Clones of one machine share it.
pub(super) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}
