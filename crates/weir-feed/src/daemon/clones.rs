//! What the daemon does when the machine has become another one.

use std::path::Path;
use std::time::{Duration, Instant};

use weir_kernel::Signal;

use super::account::event;
use super::{Daemon, ROUND};
use crate::log::{debug, error, notice, warning};
use crate::publish::Published;
use crate::wake::Wakes;
use crate::word::Word;
use crate::{Failure, hooks};

/// When it is looked whether hooks have begun, and how often. Where nobody runs any, that is all.
const REMIND_AFTER: Duration = Duration::from_secs(5);
const REMINDERS: u32 = 12;

impl Daemon {
    pub(super) fn publish(&mut self, run_dir: &Path) {
        let path = run_dir.join("generation");
        // Before the file appears, which whoever runs the hooks sees: the first generation is no clone.
        if !path.exists()
            && let Err(error) = hooks::note(&run_dir.join("hooks-done"), hooks::FIRST)
        {
            debug!("{}: {error}", run_dir.display());
        }
        match Published::open(&path) {
            Ok(published) => {
                self.status.generation = published.generation();
                self.published = Some(published);
            }
            Err(error) => warning!("the generation number is not published: {error}"),
        }
    }

    /// Looks whether the machine was cloned.
    pub(super) fn look(&mut self) -> Result<(), Failure> {
        let signal = weir_kernel::generation().signal;
        if self.guard.as_mut().is_some_and(|guard| guard.look(signal)) {
            self.cloned("the machine's own signal", &[])?;
            self.answered(signal);
        }
        Ok(())
    }

    /// Only what has been answered is known.
    pub(super) fn answered(&mut self, signal: Signal) {
        if let Some(guard) = &mut self.guard {
            guard.answered(signal);
        }
    }

    pub(super) fn hear(&mut self, wakes: &mut Wakes, number: usize) -> Result<(), Failure> {
        let Some(listener) = wakes.words.get_mut(number) else { return Ok(()) };
        let place = listener.place().to_string();
        let mut failed = Ok(());
        let heard = listener.take(|word: &Word| {
            if self.guard.as_ref().is_none_or(|guard| guard.is_new(word)) {
                failed = self.cloned(&format!("the hypervisor's word at {place}"), word.nonce());
                if let (Ok(()), Some(guard)) = (&failed, &mut self.guard) {
                    guard.heard(word);
                }
            }
            self.status.generation
        });
        if let Err(why) = heard {
            warning!("{place} is heard no longer: {why}");
            wakes.words.remove(number);
        }
        failed
    }

    /// The machine is another one now: first a new key for the kernel, then everybody is told.
    ///
    /// What tells this machine from its twins gives the kernel a key at once: a nonce, or the generation ID, which the kernel
    /// mixes in by itself. Gathering takes up to a second, in which twins would draw the same; it comes after that, for a
    /// second key. VMClock's counter may be the same in twins, so there it has to come before.
    pub(super) fn cloned(&mut self, signal: &str, nonce: &[u8]) -> Result<(), Failure> {
        let is_unlike = !nonce.is_empty() || matches!(weir_kernel::generation().signal, Signal::Forks(_));
        self.feeder.mix(nonce)?;
        let has_key = is_unlike && self.feeder.reseed()?;
        // Whoever sees the number change finds the reason in the status.
        self.status.cloned = event(signal);
        self.note();
        if has_key {
            self.advance();
        }
        if self.feeder.refresh(ROUND)? {
            self.reseeded("the machine was cloned or restored");
        }
        if !has_key {
            self.advance();
        }
        notice!(
            "this machine was cloned or restored ({signal}): reseeded, generation {}",
            self.status.generation
        );
        self.save_seed_file(&[]);
        self.fed("the machine was cloned or restored");
        self.note();
        self.run_hooks(signal);
        Ok(())
    }

    /// Publishes the next generation.
    fn advance(&mut self) {
        if let Some(published) = &mut self.published {
            match published.advance() {
                Ok(generation) => self.status.generation = generation,
                Err(error) => error!("the generation number is not published: {error}"),
            }
            self.reminder = Some((Instant::now() + REMIND_AFTER, REMINDERS));
        }
    }

    /// Hooks that a daemon before this one did not get to.
    pub(super) fn catch_up(&mut self) {
        let done = hooks::last_done(&self.options.run_dir.join("hooks-done"));
        let is_first = self.status.generation <= hooks::FIRST;
        if self.published.is_none() || is_first || done.is_some_and(|done| done >= self.status.generation) {
            return;
        }
        let signal = self.status.cloned.as_ref().map(|event| event.why.clone()).unwrap_or_default();
        self.run_hooks(&signal);
        self.reminder = Some((Instant::now(), REMINDERS));
    }

    /// Publishes the number once more while its hooks have not begun: systemd does not see a change of a file whose last
    /// change it is still acting upon.
    pub(super) fn remind(&mut self) {
        let Some((at, left)) = self.reminder else { return };
        if Instant::now() < at {
            return;
        }
        let done = hooks::last_done(&self.options.run_dir.join("hooks-done"));
        let behind = done.is_none_or(|done| done < self.status.generation);
        self.reminder = None;
        if let Some(published) = self.published.as_ref().filter(|_| behind && left > 0) {
            debug!("the hooks of generation {} have not begun", self.status.generation);
            let _ = published.say_again();
            self.reminder = Some((Instant::now() + REMIND_AFTER, left - 1));
        }
    }

    /// In a process of its own, which takes its time and has the rights that this one gave up.
    pub(super) fn run_hooks(&self, signal: &str) {
        let Some(dir) = &self.options.hooks else { return };
        let started = std::env::current_exe().and_then(|program| {
            let mut command = std::process::Command::new(program);
            command.arg("--run-hooks").arg("--hooks").arg(dir).arg("--run-dir").arg(&self.options.run_dir);
            command.env("WEIR_CLONE_SIGNAL", signal).stdin(std::process::Stdio::null()).spawn()
        });
        match started {
            // Nobody but init has to wait for it.
            Ok(mut child) => {
                drop(std::thread::Builder::new().stack_size(64 * 1024).spawn(move || child.wait()))
            }
            Err(error) => error!("the hooks cannot be run: {error}"),
        }
    }
}

/// By what a clone would be noticed.
pub(super) fn watches(signal: Signal, wakes: &Wakes) -> Vec<String> {
    let own = match signal {
        Signal::Counter(_) if wakes.polls_vmclock() => Some("VMClock"),
        Signal::Counter(_) => Some("VMClock (looked at once a minute)"),
        Signal::Forks(_) => Some("the VM generation ID (kernel log)"),
        _ => None,
    };
    own.map(str::to_owned)
        .into_iter()
        .chain(wakes.words.iter().map(|word| word.place().to_string()))
        .collect()
}
