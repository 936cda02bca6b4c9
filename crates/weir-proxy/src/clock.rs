//! What time it is, for one worker.
//!
//! The clock is read when the event loop wakes and at the milestones of a request; everything in between goes by the
//! last reading. So a moment may be told late by what a worker does in one turn of its loop, which is far less than any
//! time limit is about. The wall clock is read twenty times a second and carried on from there.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long the wall clock is carried on before it is read again.
const CARRY: Duration = Duration::from_millis(50);

struct Clock {
    now: Cell<Instant>,
    /// When the wall clock was last read, and what it said in epoch milliseconds.
    wall: Cell<(Instant, u64)>,
}

thread_local! {
    static CLOCK: Clock = {
        let now = Instant::now();
        Clock { now: Cell::new(now), wall: Cell::new((now, weir_kernel::clock::unix_ms())) }
    };
}

/// Reads the clock.
pub(crate) fn tick() {
    let now = Instant::now();
    CLOCK.with(|clock| {
        clock.now.set(now);
        if now.duration_since(clock.wall.get().0) >= CARRY {
            clock.wall.set((now, weir_kernel::clock::unix_ms()));
        }
    });
}

/// The last reading.
pub(crate) fn now() -> Instant {
    CLOCK.with(|clock| clock.now.get())
}

/// The wall clock at the last reading, epoch milliseconds.
pub(crate) fn unix_ms() -> u64 {
    CLOCK.with(|clock| {
        let (read, ms) = clock.wall.get();
        ms + clock.now.get().duration_since(read).as_millis() as u64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_between_readings() {
        tick();
        let first = now();
        assert_eq!(now(), first);
        let before = unix_ms();
        while Instant::now() == first {}
        assert_eq!(unix_ms(), before);
        tick();
        assert!(now() > first);
    }

    #[test]
    fn the_wall_clock_is_followed() {
        tick();
        let off = weir_kernel::clock::unix_ms().abs_diff(unix_ms());
        assert!(off <= 1000, "{off} ms");
    }
}
