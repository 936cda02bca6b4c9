//! A walk that a one takes up and a zero down: how often it visits each height between two visits to 0 (2.14), and in all (2.15).

use super::{Bits, Outcome, Skip, at_least};
use crate::probability::{chi_square_above, erfc};

/// The heights of 2.14, in ascending order.
pub(super) const STATES: [i32; 8] = [-4, -3, -2, -1, 1, 2, 3, 4];
/// The farthest height of 2.15.
const FARTHEST: i64 = 9;

/// A walk, cut into cycles at its visits to 0.
pub(super) struct Walk {
    /// For each of [`STATES`], how many cycles visit it 0, 1, 2, 3, 4, and 5 times or more.
    cycles_by_visits: [[u32; 6]; 8],
    /// Visits to -9..=9.
    visits: [u64; 19],
    cycles: u64,
}

impl Walk {
    /// Takes all steps; a walk that does not end at 0 has its last cycle closed, as the standard has it.
    pub(super) fn new(bits: Bits) -> Self {
        let mut walk = Self { cycles_by_visits: [[0; 6]; 8], visits: [0; 19], cycles: 0 };
        let mut height = 0i64;
        let mut in_cycle = [0usize; 9];
        for bit in bits.iter() {
            height += 2 * i64::from(bit) - 1;
            if height == 0 {
                walk.close(&mut in_cycle);
            } else if height.abs() <= FARTHEST {
                walk.visits[(height + FARTHEST) as usize] += 1;
                if height.abs() <= 4 {
                    in_cycle[(height + 4) as usize] += 1;
                }
            }
        }
        if height != 0 {
            walk.close(&mut in_cycle);
        }
        walk
    }

    fn close(&mut self, in_cycle: &mut [usize; 9]) {
        for (counts, state) in self.cycles_by_visits.iter_mut().zip(STATES) {
            counts[in_cycle[(state + 4) as usize].min(5)] += 1;
        }
        *in_cycle = [0; 9];
        self.cycles += 1;
    }

    /// 2.14.4 (3): too few cycles say nothing.
    fn has_cycles(&self, bits: Bits) -> Result<(), Skip> {
        at_least(bits, 1_000_000)?;
        let needed = (0.005 * (bits.len() as f64).sqrt()).max(500.0) as u64;
        if self.cycles < needed { Err(Skip::TooFewCycles { cycles: self.cycles, needed }) } else { Ok(()) }
    }

    /// 2.14 Random Excursions, at these heights.
    pub(super) fn excursions(&self, bits: Bits, wanted: &[i32]) -> Outcome {
        self.has_cycles(bits)?;
        let states = STATES.iter().zip(&self.cycles_by_visits).filter(|(state, _)| wanted.contains(state));
        let p_value = |(state, counts): (&i32, &[u32; 6])| {
            chi_square_above(super::chi_square(counts, &visit_odds(*state), self.cycles as f64), 5.0)
        };
        Ok(states.map(p_value).collect())
    }

    /// 2.15 Random Excursions Variant, at these heights.
    pub(super) fn variant(&self, bits: Bits, wanted: &[i32]) -> Outcome {
        self.has_cycles(bits)?;
        let cycles = self.cycles as f64;
        let p_value = |state: &i32| {
            let visits = self.visits[(i64::from(*state) + FARTHEST) as usize] as f64;
            erfc((visits - cycles).abs() / (2.0 * cycles * (4.0 * f64::from(state.abs()) - 2.0)).sqrt())
        };
        Ok(wanted.iter().map(p_value).collect())
    }
}

/// The heights of 2.15, in ascending order.
pub(super) fn variant_states() -> Vec<i32> {
    (-9..=9).filter(|state| *state != 0).collect()
}

/// How likely a cycle visits a height 0, 1, 2, 3, 4, and 5 times or more (3.14).
fn visit_odds(state: i32) -> [f64; 6] {
    let back = 1.0 / (2.0 * f64::from(state.abs()));
    let stay = 1.0 - back;
    let times = |k: i32| back * back * stay.powi(k - 1);
    [stay, times(1), times(2), times(3), times(4), back * stay.powi(4)]
}
