//! Gathering: which source is asked when, and what a block of their samples may be credited with.
//!
//! A batch is made of blocks; a block is the hash of samples of all sources that gave any. Every sample is mixed in the
//! moment it is taken. What it is worth is decided at the end of the batch, when the verdict on its source is known:
//! a source that failed meanwhile is worth nothing in any block of the batch, one that passed its start-up test is
//! worth something in all of them.
//!
//! Invariants: every loop ends at the deadline, or when a whole round over all sources brought nothing that could
//! count; a source that failed is asked again only after its pause, and from a new start-up test on.
//!
//! Absent on purpose: threads. A source that does not keep its deadline holds up the batch, so sources keep theirs.

mod batch;
mod channel;
mod status;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

pub use batch::{Batch, Block, Part};
pub use status::{State, Status};

use crate::condition::{Mixed, Mixer};
use crate::config::Config;
use crate::health::startup;
use channel::{Channel, Clock};
use zeroize::Zeroize;

/// Blocks in a batch at most: more than any kernel's pool holds.
const MOST_BLOCKS: usize = 16;

/// Entropy that is hoped for in the input of a block before the next is begun: what fills the output up to a few bits.
const BLOCK_BITS: f64 = 508.0;

/// What a source is asked for in a round, in bits by its claim, so that all take their part in a block.
const ROUND_BITS: f64 = 64.0;

/// The most samples a source is asked for at once.
const MOST_SAMPLES: usize = 512;

/// Asks sources, tests them, and makes blocks of what they give.
#[derive(Debug)]
pub struct Gatherer {
    channels: Vec<Channel>,
    clock: Clock,
}

/// A block in the making: its bytes, and how many samples of each channel that count are in it.
struct Draft {
    mixed: Mixed,
    counted: Vec<u32>,
}

impl Gatherer {
    /// Opens nothing yet. A source that is named twice is taken once.
    #[must_use]
    pub fn new(mut config: Config) -> Self {
        let mut seen = Vec::new();
        config.sources.retain(|spec| {
            !seen.contains(spec) && {
                seen.push(spec.clone());
                true
            }
        });
        let cap = |spec: &_| {
            let lowered =
                config.credit.iter().filter(|credit| credit.is_about(spec)).map(|credit| credit.bits);
            lowered.fold(f64::INFINITY, f64::min)
        };
        let channels = config.sources.iter().map(|spec| Channel::new(spec.clone(), cap(spec))).collect();
        Self { channels, clock: Clock::default() }
    }

    /// Gathers until the credit earned reaches `want_bits` or `budget` is over, whichever comes first. There is
    /// something in the batch to mix whenever any source gave anything, also if it is worth nothing.
    pub fn gather(&mut self, want_bits: u32, budget: Duration) -> Batch {
        let deadline = self.clock.now() + budget;
        let before: Vec<u64> = self.channels.iter().map(Channel::samples).collect();
        let mut drafts: Vec<Draft> = Vec::with_capacity(MOST_BLOCKS);
        self.channels.iter_mut().for_each(Channel::begin_batch);
        loop {
            let missing = want_bits.saturating_sub(self.credit(&drafts));
            let over = drafts.len() == MOST_BLOCKS || self.clock.now() >= deadline;
            if over || missing == 0 && !drafts.is_empty() {
                break;
            }
            let Some(draft) = self.block(&mut drafts, f64::from(missing), deadline) else { break };
            let hopeless = self.hope(&draft.counted) <= 0.0;
            drafts.push(draft);
            if hopeless {
                break;
            }
        }
        self.settle(drafts, &before)
    }

    /// Credit of the drafts if the batch ended now.
    fn credit(&self, drafts: &[Draft]) -> u32 {
        drafts.iter().map(|draft| self.credit_of(draft)).sum()
    }

    fn credit_of(&self, draft: &Draft) -> u32 {
        let shares = self.channels.iter().zip(&draft.counted);
        draft.mixed.credit(shares.map(|(channel, &counted)| channel.assess(counted)).sum())
    }

    /// Makes a block. `None` if no source gave anything.
    fn block(&mut self, drafts: &mut [Draft], missing: f64, deadline: Instant) -> Option<Draft> {
        // A block's credit is below its input by a little more than a bit at the most that is aimed at.
        let target = (missing + 2.0).min(BLOCK_BITS);
        let mut block = Making { mixer: Mixer::default(), counted: vec![0; self.channels.len()], taken: 0 };
        self.start_up(&mut block, drafts, deadline);
        let mut slow_too = drafts.is_empty();
        loop {
            let hoped = self.hope(&block.counted);
            self.round(false, &mut block, drafts, deadline);
            if slow_too || self.hope(&block.counted) <= hoped {
                self.round(true, &mut block, drafts, deadline);
            }
            let hope = self.hope(&block.counted);
            if hope >= target || hope <= hoped || self.clock.now() >= deadline {
                break;
            }
            slow_too = false;
        }
        let Making { mixer, counted, taken } = block;
        (taken > 0).then(|| Draft { mixed: mixer.finish(), counted })
    }

    fn hope(&self, counted: &[u32]) -> f64 {
        self.channels.iter().zip(counted).map(|(channel, &counted)| channel.hope(counted)).sum()
    }

    /// Lets fast sources that are new, or were set aside long enough, through their start-up test in one go.
    fn start_up(&mut self, block: &mut Making, drafts: &mut [Draft], deadline: Instant) {
        for index in 0..self.channels.len() {
            self.channels[index].open_if_due(self.clock.now());
            while self.channels[index].is_fast_and_new() && self.clock.now() < deadline {
                if self.ask(index, startup::SAMPLES, block, drafts, deadline) == 0 {
                    break;
                }
            }
        }
    }

    /// Asks each slow source, or each fast one, once.
    fn round(&mut self, slow: bool, block: &mut Making, drafts: &mut [Draft], deadline: Instant) {
        for index in 0..self.channels.len() {
            if self.channels[index].patience().is_some() == slow && self.clock.now() < deadline {
                let samples = self.channels[index].samples_for(ROUND_BITS);
                self.ask(index, samples, block, drafts, deadline);
            }
        }
    }

    /// Asks one source, mixes what it gives, and strikes what it gave before if it fails. Says how many samples came.
    fn ask(
        &mut self,
        index: usize,
        most: usize,
        block: &mut Making,
        drafts: &mut [Draft],
        deadline: Instant,
    ) -> usize {
        let mut samples = [0; MOST_SAMPLES];
        let now = self.clock.now();
        let channel = &mut self.channels[index];
        let until = channel.patience().map_or(deadline, |patience| deadline.min(now + patience));
        let taken = channel.ask(&mut samples[..most.min(MOST_SAMPLES)], until, &self.clock);
        block.mixer.mix(&samples[..taken.samples]);
        samples.zeroize();
        block.taken += taken.samples;
        block.counted[index] += taken.counted;
        if taken.failed {
            block.counted[index] = 0;
            drafts.iter_mut().for_each(|draft| draft.counted[index] = 0);
        }
        taken.samples
    }

    /// Turns drafts into blocks with the credit that the verdicts on their sources allow.
    fn settle(&mut self, drafts: Vec<Draft>, before: &[u64]) -> Batch {
        let mut parts: Vec<Part> = self
            .channels
            .iter()
            .zip(before)
            .map(|(channel, &before)| Part::of(channel.name(), channel.samples() - before))
            .collect();
        let mut blocks = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let credit_bits = self.credit_of(&draft);
            let assessed: Vec<f64> = self
                .channels
                .iter()
                .zip(&draft.counted)
                .map(|(channel, &counted)| channel.assess(counted).bits())
                .collect();
            batch::share(&mut parts, &assessed, credit_bits);
            blocks.push((draft.mixed, credit_bits));
        }
        for (channel, part) in self.channels.iter_mut().zip(&parts) {
            channel.credited(part.credited_bits);
        }
        parts.retain(|part| part.samples > 0);
        Batch::new(blocks, parts)
    }

    /// What each source is doing, in the order of the configuration.
    #[must_use]
    pub fn status(&self) -> Vec<Status> {
        self.channels.iter().map(Channel::status).collect()
    }

    /// Closes devices and gives memory back until the next batch. Fast sources begin that with a new start-up test.
    pub fn rest(&mut self) {
        self.channels.iter_mut().for_each(Channel::rest);
    }
}

/// A block that is still being mixed.
struct Making {
    mixer: Mixer,
    counted: Vec<u32>,
    taken: usize,
}
