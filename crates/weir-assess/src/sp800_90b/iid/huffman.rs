//! Bits that bzip2 needs for a transformed block: move to front, runs of zeros, Huffman tables.
//!
//! The tables are not the best ones but those that bzip2 finds, so that sizes are equal to the bit: its first guess, four
//! rounds of refinement, its order among equal weights, its limit of 17 bits.

/// Symbols that share a table.
const GROUP: usize = 50;
/// Rounds of refinement.
const ROUNDS: usize = 4;
/// Bits of the longest code.
const MAX_BITS: u8 = 17;
/// What the first guess takes for symbols inside and outside of a table's range.
const LIKELY: u8 = 0;
const UNLIKELY: u8 = 15;
/// Bits of a block's head: mark, checksum, one flag, start of the text.
const HEAD_BITS: u64 = 48 + 32 + 1 + 24;
/// Different symbols: ten digits and a space, less the first of the list, more two for runs and one for the end.
const SYMBOLS: usize = 16;

type Counts = [u16; SYMBOLS];
type Lengths = [u8; SYMBOLS];

/// A block as bzip2 codes it, by groups: where in a group a symbol stands does not matter.
pub(super) struct Coded {
    /// By group: how often each symbol comes.
    groups: Vec<Counts>,
    /// The group that is being filled.
    filling: Counts,
    /// How many symbols it takes yet.
    room: usize,
    /// Symbols that can come, the end included.
    alphabet: usize,
    /// Bits of the list of characters.
    map_bits: u64,
}

impl Coded {
    /// Of the last column of a block, of at most eleven different characters.
    pub(super) fn of(column: &[u8]) -> Self {
        let mut used = [false; 256];
        for &character in column {
            used[usize::from(character)] = true;
        }
        let sixteens = used.chunks(16).filter(|sixteen| sixteen.contains(&true)).count() as u64;
        let mut number = [0; 256];
        let mut characters = 0;
        for (character, _) in used.iter().enumerate().filter(|(_, used)| **used) {
            number[character] = characters;
            characters += 1;
        }
        let end = characters as usize + 1;
        let mut coded = Self {
            groups: Vec::with_capacity(column.len() / GROUP / 2),
            filling: [0; SYMBOLS],
            room: GROUP,
            alphabet: end + 1,
            map_bits: 16 + 16 * sixteens,
        };
        let mut front = Front::new();
        let mut zeros = 0_usize;
        for &character in column {
            let place = front.find(number[usize::from(character)]);
            if place == 0 {
                zeros += 1;
            } else {
                coded.push_run(std::mem::take(&mut zeros));
                coded.push(place + 1);
            }
        }
        coded.push_run(zeros);
        coded.push(end);
        if coded.room < GROUP {
            coded.groups.push(coded.filling);
        }
        coded
    }

    #[inline]
    fn push(&mut self, symbol: usize) {
        self.filling[symbol % SYMBOLS] += 1;
        self.room -= 1;
        if self.room == 0 {
            self.groups.push(std::mem::take(&mut self.filling));
            self.room = GROUP;
        }
    }

    /// The length of a run in base 2 with the digits 1 and 2, lowest first.
    fn push_run(&mut self, mut zeros: usize) {
        while zeros > 0 {
            let digit = (zeros - 1) % 2;
            self.push(digit);
            zeros = (zeros - 1 - digit) / 2;
        }
    }

    /// Bits of the block in the stream.
    pub(super) fn bits(&self) -> u64 {
        let mut tables = self.first_guess();
        let mut chosen = Vec::new();
        for _ in 0..ROUNDS {
            chosen = self.choose(&tables);
            let mut counts = vec![[0_u32; SYMBOLS]; tables.len()];
            for (group, &table) in self.groups.iter().zip(&chosen) {
                for (count, more) in counts[table].iter_mut().zip(group) {
                    *count += u32::from(*more);
                }
            }
            for (table, counts) in tables.iter_mut().zip(&counts) {
                *table = code_lengths(&counts[..self.alphabet]);
            }
        }
        let coded: u64 = self
            .groups
            .iter()
            .zip(&chosen)
            .map(|(group, table)| u64::from(cost(group, &tables[*table])))
            .sum();
        let described: u64 = tables.iter().map(|table| bits_of_table(&table[..self.alphabet])).sum();
        HEAD_BITS + self.map_bits + 3 + 15 + bits_of_choices(&chosen) + described + coded
    }

    /// The cheapest table of each group, of equally cheap ones the first.
    fn choose(&self, tables: &[Lengths]) -> Vec<usize> {
        let cheapest = |group: &Counts| {
            let costs = tables.iter().map(|table| cost(group, table)).enumerate();
            costs.min_by_key(|(_, cost)| *cost).map_or(0, |(table, _)| table)
        };
        self.groups.iter().map(cheapest).collect()
    }

    /// Each table for a range of symbols that are about equally frequent together.
    fn first_guess(&self) -> Vec<Lengths> {
        let mut frequencies = [0_usize; SYMBOLS];
        for group in &self.groups {
            for (frequency, count) in frequencies.iter_mut().zip(group) {
                *frequency += usize::from(*count);
            }
        }
        let len = frequencies.iter().sum();
        let count = match len {
            ..200 => 2,
            200..600 => 3,
            600..1200 => 4,
            1200..2400 => 5,
            _ => 6,
        };
        let mut tables = vec![[UNLIKELY; SYMBOLS]; count];
        let (mut start, mut left) = (0, len);
        for part in (1..=count).rev() {
            let share = left / part;
            let (mut end, mut sum) = (start, 0);
            while sum < share && end < self.alphabet {
                sum += frequencies[end];
                end += 1;
            }
            // Every other table gives its last symbol to the next.
            if end > start + 1 && part != count && part != 1 && (count - part) % 2 == 1 {
                end -= 1;
                sum -= frequencies[end];
            }
            tables[part - 1][start..end].fill(LIKELY);
            start = end;
            left -= sum;
        }
        tables
    }
}

#[inline]
fn cost(group: &Counts, table: &Lengths) -> u32 {
    group.iter().zip(table).map(|(count, length)| u32::from(*count * u16::from(*length))).sum()
}

/// First the length of the first code, then each step up or down to the next.
fn bits_of_table(lengths: &[u8]) -> u64 {
    let steps = lengths.windows(2).map(|pair| u64::from(pair[0].abs_diff(pair[1])));
    5 + lengths.len() as u64 + 2 * steps.sum::<u64>()
}

/// Each choice by its place among those chosen last, in unary.
fn bits_of_choices(chosen: &[usize]) -> u64 {
    let mut front = Front::new();
    chosen.iter().map(|table| front.find(*table as u64) as u64 + 1).sum()
}

/// A list of the numbers 0 to 15, of which the one that is looked for moves to the front.
struct Front {
    /// Four bits each, the front lowest.
    list: u64,
}

impl Front {
    fn new() -> Self {
        Self { list: 0xfedc_ba98_7654_3210 }
    }

    /// Where the number stood, without a branch that depends on it.
    #[inline]
    fn find(&mut self, number: u64) -> usize {
        const ONES: u64 = 0x1111_1111_1111_1111;
        let differences = self.list ^ (number * ONES);
        // The lowest four bits that are zero are where a subtraction first borrows.
        let zeros = differences.wrapping_sub(ONES) & !differences & (ONES << 3);
        let bit = zeros.trailing_zeros() & !3;
        let moved = (1_u64 << bit) - 1;
        let kept = !(moved << 4 | 0xf);
        self.list = self.list & kept | (self.list & moved) << 4 | number;
        (bit / 4) as usize
    }
}

/// Lengths of a Huffman code, in bzip2's order among equal weights; longer than allowed, once more with flatter weights.
fn code_lengths(counts: &[u32]) -> Lengths {
    let mut weights: Vec<u64> = counts.iter().map(|count| u64::from((*count).max(1))).collect();
    loop {
        let depths = depths(&weights);
        if depths.iter().all(|depth| *depth <= MAX_BITS) {
            let mut lengths = [0; SYMBOLS];
            lengths[..depths.len()].copy_from_slice(&depths);
            return lengths;
        }
        for weight in &mut weights {
            *weight = 1 + *weight / 2;
        }
    }
}

fn depths(weights: &[u64]) -> Vec<u8> {
    let mut heap = Heap { nodes: Vec::new(), order: Vec::new() };
    // Of equal weights the flatter tree comes first.
    for &weight in weights {
        heap.push(Node { weight, height: 0 });
    }
    let mut parents = vec![0; weights.len()];
    while heap.order.len() > 1 {
        let (one, other) = (heap.pop(), heap.pop());
        let (low, high) = (heap.nodes[one], heap.nodes[other]);
        let both = Node { weight: low.weight + high.weight, height: 1 + low.height.max(high.height) };
        parents[one] = heap.nodes.len();
        parents[other] = heap.nodes.len();
        parents.push(0);
        heap.push(both);
    }
    // Parents come after their children, the root last.
    let mut depths = vec![0_u8; parents.len()];
    for node in (0..parents.len() - 1).rev() {
        depths[node] = depths[parents[node]] + 1;
    }
    depths.truncate(weights.len());
    depths
}

#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Node {
    weight: u64,
    height: u8,
}

/// A binary heap that moves equal nodes exactly as bzip2's does, since their order decides which code is longer.
struct Heap {
    nodes: Vec<Node>,
    order: Vec<usize>,
}

impl Heap {
    fn push(&mut self, node: Node) {
        let mut place = self.order.len();
        self.order.push(self.nodes.len());
        self.nodes.push(node);
        while place > 0 {
            let above = (place - 1) / 2;
            if node >= self.nodes[self.order[above]] {
                break;
            }
            self.order.swap(place, above);
            place = above;
        }
    }

    fn pop(&mut self) -> usize {
        let top = self.order.swap_remove(0);
        let mut place = 0;
        loop {
            let left = 2 * place + 1;
            let Some(&at_left) = self.order.get(left) else { break };
            let right = self.order.get(left + 1).filter(|right| self.nodes[**right] < self.nodes[at_left]);
            let (below, node) = right.map_or((left, at_left), |right| (left + 1, *right));
            if self.nodes[self.order[place]] < self.nodes[node] {
                break;
            }
            self.order.swap(place, below);
            place = below;
        }
        top
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_moves_to_the_front() {
        let mut front = Front::new();
        let found: Vec<usize> = [3, 3, 0, 15, 3, 15, 14].map(|number| front.find(number)).into();
        assert_eq!(found, [3, 0, 1, 15, 2, 1, 15]);
    }

    #[test]
    fn codes_are_those_of_huffman() {
        assert_eq!(code_lengths(&[1, 1, 2, 4, 8])[..5], [4, 4, 3, 2, 1]);
        // Powers of two would need more than 17 bits.
        let powers: Vec<u32> = (0..20).map(|power| 1 << power).collect();
        assert!(depths(&powers.iter().map(|weight| u64::from(*weight)).collect::<Vec<_>>()).contains(&19));
    }
}
