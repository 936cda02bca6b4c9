//! VMClock: a page that the hypervisor writes and the guest reads.
//!
//! What matters here is its generation counter, which changes whenever the machine was loaded from a snapshot. The page is
//! little-endian on every architecture and guarded by a sequence number (`include/uapi/linux/vmclock-abi.h`): odd while
//! it is being written, different after a write. Pure: the bytes come from the caller.

use super::root::{Fact, Unknown};

/// `VCLK`.
const MAGIC: u32 = 0x4b4c_4356;
const VERSION: u16 = 1;
const FLAG_GENERATION_COUNTER: u64 = 1 << 8;
/// Where the fields are.
const SIZE: usize = 4;
const VERSION_AT: usize = 8;
const SEQUENCE: usize = 12;
const DISRUPTION: usize = 16;
const FLAGS: usize = 24;
const GENERATION: usize = 104;
/// As much of the page as this module looks at.
pub const PAGE_BYTES: usize = GENERATION + 8;
/// How often a page that is being written is read again. A hypervisor writes a hundred bytes, so this is much.
pub(crate) const MOST_TRIES: u32 = 1000;

/// What the page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VmClock {
    /// Changes when the machine was loaded from a snapshot. `None`: this hypervisor does not say.
    pub generation: Option<u64>,
    /// Changes when the clock was disturbed, which a live migration does as well.
    pub disruption: u64,
}

impl VmClock {
    /// Reads a copy of the page.
    ///
    /// # Errors
    /// [`Unknown::Malformed`] if it is no VMClock page of a known version, or was copied in the middle of an update.
    pub fn parse(page: &[u8]) -> Fact<Self> {
        read(|at, width| {
            let bytes = page.get(at..at.checked_add(width)?)?;
            Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
        })
    }
}

/// Reads the page through `field`, which gives the little-endian number of so many bytes at an offset, each time anew.
pub(crate) fn read(field: impl Fn(usize, usize) -> Option<u64>) -> Fact<VmClock> {
    const SHORT: Unknown = Unknown::Malformed("a VMClock page that is too short");
    let must = |at, width| field(at, width).ok_or(SHORT);
    if must(0, 4)? != u64::from(MAGIC) {
        return Err(Unknown::Malformed("not a VMClock page"));
    }
    if must(VERSION_AT, 2)? != u64::from(VERSION) {
        return Err(Unknown::Malformed("a VMClock page of an unknown version"));
    }
    let covers_generation = must(SIZE, 4)? >= PAGE_BYTES as u64;
    for _ in 0..MOST_TRIES {
        let before = must(SEQUENCE, 4)?;
        let (flags, disruption) = (must(FLAGS, 8)?, must(DISRUPTION, 8)?);
        let counted = covers_generation && flags & FLAG_GENERATION_COUNTER != 0;
        let generation = if counted { Some(must(GENERATION, 8)?) } else { None };
        if before & 1 == 0 && must(SEQUENCE, 4)? == before {
            return Ok(VmClock { generation, disruption });
        }
        std::hint::spin_loop();
    }
    Err(Unknown::Malformed("a VMClock page that is always being written"))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn page(sequence: u32, flags: u64, generation: u64) -> Vec<u8> {
        let mut page = vec![0; 4096];
        let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC.to_le_bytes());
        put(SIZE, &4096u32.to_le_bytes());
        put(VERSION_AT, &VERSION.to_le_bytes());
        put(SEQUENCE, &sequence.to_le_bytes());
        put(DISRUPTION, &7u64.to_le_bytes());
        put(FLAGS, &flags.to_le_bytes());
        put(GENERATION, &generation.to_le_bytes());
        page
    }

    #[test]
    fn the_counter_is_read_where_it_is_present() {
        let clock = VmClock { generation: Some(42), disruption: 7 };
        assert_eq!(VmClock::parse(&page(4, FLAG_GENERATION_COUNTER | 3, 42)), Ok(clock));
        let without = VmClock { generation: None, disruption: 7 };
        assert_eq!(VmClock::parse(&page(4, 3, 42)), Ok(without));
        let mut short = page(4, FLAG_GENERATION_COUNTER, 42);
        short[SIZE..SIZE + 4].copy_from_slice(&104u32.to_le_bytes());
        assert_eq!(VmClock::parse(&short), Ok(without), "the field is beyond the declared size");
    }

    #[test]
    fn what_is_no_settled_page_is_no_fact() {
        let good = page(4, FLAG_GENERATION_COUNTER, 42);
        assert!(VmClock::parse(&page(5, FLAG_GENERATION_COUNTER, 42)).is_err(), "an update is under way");
        for (at, name) in [(0, "magic"), (VERSION_AT, "version")] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(VmClock::parse(&bad).is_err(), "{name}");
        }
        for length in 0..PAGE_BYTES {
            assert!(VmClock::parse(&good[..length]).is_err(), "{length} bytes");
        }
        assert!(VmClock::parse(&good[..PAGE_BYTES]).is_ok());
    }

    #[test]
    fn a_write_in_the_middle_of_a_read_is_noticed() {
        // The generation changes between the two looks at the sequence number, as a hypervisor would do it.
        let (old, new) = (page(4, FLAG_GENERATION_COUNTER, 1), page(6, FLAG_GENERATION_COUNTER, 2));
        let reads = Cell::new(0);
        let clock = read(|at, width| {
            reads.set(reads.get() + 1);
            let page = if reads.get() > 6 { &new } else { &old };
            Some(page[at..at + width].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
        });
        assert_eq!(clock.map(|clock| clock.generation), Ok(Some(2)));
    }
}
