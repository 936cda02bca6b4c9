//! One guest that is frozen and restored twice, and what the two draw.

use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::Duration;

use super::machine::{ASK, WORDS};
use super::{Kernel, Machine, Said};

/// For each step on the way.
const LIMIT: Duration = Duration::from_secs(180);

/// How clones learn that they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tell {
    /// Not at all.
    Nothing,
    /// By a VM generation ID, which each machine has another of.
    GenerationId,
    /// By a word of the hypervisor at the second serial port, there before the clone runs.
    Word,
}

/// A draw of 16 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// The guest's clock.
    pub at: Duration,
    /// The generation that was published when the draw began; 0: none.
    pub generation: u64,
    /// What was drawn, in hexadecimal.
    pub bytes: String,
}

/// Two clones of one guest.
#[derive(Debug)]
pub struct Clones {
    /// All that each said.
    pub said: [Said; 2],
    /// What each drew since it was restored.
    pub draws: [Vec<Draw>; 2],
}

impl Clones {
    /// Draws at the same place that were the same in both, and for how long that went on: none, or up to the first that differed.
    /// `None`: they never did.
    #[must_use]
    pub fn same(&self) -> (usize, Option<Duration>) {
        let [a, b] = &self.draws;
        let same = a.iter().zip(b).take_while(|(a, b)| a.bytes == b.bytes).count();
        let begun = a.first().map_or(Duration::ZERO, |draw| draw.at);
        let until = a.iter().zip(b).nth(same).map(|(draw, _)| draw.at.saturating_sub(begun));
        (same, if same == 0 { Some(Duration::ZERO) } else { until })
    }

    /// How long after the restore each clone's daemon had published the next generation.
    #[must_use]
    pub fn published_after(&self) -> [Option<Duration>; 2] {
        self.draws.each_ref().map(|draws| {
            let first = draws.first()?;
            let next = draws.iter().find(|draw| draw.generation > first.generation)?;
            Some(next.at.saturating_sub(first.at))
        })
    }

    /// Draws that both made, whatever the place, of those that began when the next generation was published.
    #[must_use]
    pub fn common_once_guarded(&self) -> Vec<[&Draw; 2]> {
        let [a, b] = self.draws.each_ref().map(|draws| {
            let first = draws.first().map_or(0, |draw| draw.generation);
            draws.iter().filter(move |draw| draw.generation > first)
        });
        let made: BTreeMap<&str, &Draw> = a.map(|draw| (draw.bytes.as_str(), draw)).collect();
        b.filter_map(|draw| Some([*made.get(draw.bytes.as_str())?, draw])).collect()
    }
}

/// Boots a guest that draws, freezes it, and restores it twice, one after the other. Each clone runs for `time`.
///
/// # Errors
/// What did not happen in time.
pub fn clone(kernel: &Kernel, initramfs: &[u8], tell: Tell, time: Duration) -> io::Result<Clones> {
    let folder = crate::TempDir::new();
    let state = folder.join("state");
    let device: &[&str] = if tell == Tell::GenerationId { &["-device", "vmgenid,guid=auto"] } else { &[] };
    freeze(kernel, initramfs, device, &state)?;
    let incoming = format!("exec:cat {}", state.display());
    let more = [device, &["-incoming", &incoming]].concat();
    let mut said = Vec::new();
    for number in ["01", "02"] {
        let mut machine = Machine::boot(kernel, initramfs, &more)?;
        machine.wait(LIMIT, "the clone to be loaded", |this| {
            Ok(this
                .monitor("info status")
                .is_ok_and(|answer| answer.contains("paused") && !answer.contains("inmigrate")))
        })?;
        if tell == Tell::Word {
            machine.send(WORDS, format!("clone {}\n", number.repeat(16)).as_bytes())?;
        }
        machine.monitor("cont")?;
        // How long a clone runs is what is asked for, not a wait for something.
        thread::sleep(time);
        machine.send(ASK, b"\n")?;
        said.push(machine.finish(LIMIT)?);
    }
    let both: [Said; 2] = said.try_into().map_err(|_| io::Error::other("two clones"))?;
    let draws = since_restore(&both.each_ref().map(draws));
    Ok(Clones { said: both, draws })
}

fn freeze(kernel: &Kernel, initramfs: &[u8], device: &[&str], state: &std::path::Path) -> io::Result<()> {
    let mut origin = Machine::boot(kernel, initramfs, device)?;
    origin.wait(LIMIT, "the first draws", |this| {
        let said = this.said();
        Ok(said.text("drawing").is_some() || said.text("error").is_some())
    })?;
    origin.monitor("stop")?;
    origin.monitor(&format!("migrate \"exec:cat > {}\"", state.display()))?;
    origin.wait(LIMIT, "the frozen state", |this| {
        Ok(this.monitor("info migrate").is_ok_and(|answer| answer.contains("completed")))
    })
}

fn draws(said: &Said) -> Vec<(u64, Draw)> {
    let parse = |line: &str| {
        let mut parts = line.split(' ');
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (place, at, generation) = (number()?, Duration::from_nanos(number()?), number()?);
        Some((place, Draw { at, generation, bytes: parts.next()?.to_owned() }))
    };
    said.all("draw").into_iter().filter_map(parse).collect()
}

/// A clone's clock goes on by itself, so the first draw of which the clocks differ is the first since the restore.
fn since_restore(both: &[Vec<(u64, Draw)>; 2]) -> [Vec<Draw>; 2] {
    let [a, b] = both;
    let place = |of: &[(u64, Draw)]| of.first().map_or(u64::MAX, |(place, _)| *place);
    let begin = place(a).max(place(b));
    let from = |of: &[(u64, Draw)]| {
        of.iter().filter(|(place, _)| *place >= begin).map(|(_, draw)| draw.clone()).collect::<Vec<_>>()
    };
    let (mut a, mut b) = (from(a), from(b));
    let before = a.iter().zip(&b).take_while(|(a, b)| a.at == b.at).count();
    [a.split_off(before), b.split_off(before)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_drawn_before_the_restore_does_not_count() {
        let line = |place, at, generation, bytes| {
            let draw = Draw { at: Duration::from_millis(at), generation, bytes: String::from(bytes) };
            (place, draw)
        };
        let a = vec![
            line(5, 10, 1, "x"),
            line(6, 20, 1, "y"),
            line(7, 30, 1, "z"),
            line(8, 40, 2, "q"),
            line(9, 50, 2, "r"),
        ];
        let b = vec![
            line(6, 20, 1, "y"),
            line(7, 31, 1, "z"),
            line(8, 39, 1, "q"),
            line(9, 44, 2, "s"),
            line(10, 60, 2, "t"),
        ];
        let draws = since_restore(&[a, b]);
        assert_eq!((draws[0].len(), draws[1].len()), (3, 4));
        let clones = Clones { said: [Said::default(), Said::default()], draws };
        assert_eq!(clones.same(), (2, Some(Duration::from_millis(20))));
        assert_eq!(
            clones.published_after(),
            [Some(Duration::from_millis(10)), Some(Duration::from_millis(13))]
        );
        assert!(clones.common_once_guarded().is_empty());
    }
}
