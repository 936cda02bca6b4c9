//! Which of two routes that both match a request is taken.

/// A route's precedence at one of its paths: the greater one is taken, then the greater id.
///
/// From the most significant bit, with what Kong's router for `traditional_compatible` does in brackets:
///
/// | bits | what |
/// |---|---|
/// | 1 | four kinds of criteria or more are set |
/// | 1 | hosts are set and none has a wildcard |
/// | 1 | the path is a regular expression |
/// | 3 | how many of methods, hosts, paths, headers, snis are set |
/// | 8 | how many headers, 255 at most |
/// | 32 | `regex_priority`, for regular expressions |
/// | 16 | the length of the prefix in bytes, 65535 at most |
/// | 1 | snis are set and none has a wildcard (Kong compares wildcards literally, so that they match nothing) |
///
/// The documented order begins with the number of kinds. Kong means that, but computes the number's place with 32-bit
/// shifts: plain hosts and then regular expressions come before it, except that with four kinds a sign bit spills over
/// everything above. Configurations live with that order, so it is kept, without its overflows: priorities that Kong
/// wraps around are clamped, and fields do not run into each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank(u64);

/// What a rank is made of.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Merits {
    pub(crate) kinds: u8,
    pub(crate) plain_hosts: bool,
    pub(crate) headers: usize,
    pub(crate) plain_snis: bool,
}

/// The merits of one path of a route.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PathMerit {
    None,
    Prefix { length: usize },
    Regex { priority: i64 },
}

impl Rank {
    /// Below every route's.
    pub(crate) const LOWEST: Rank = Rank(0);

    pub(crate) fn new(merits: Merits, path: PathMerit) -> Rank {
        let (regex, priority, length) = match path {
            PathMerit::None => (false, 0, 0),
            PathMerit::Prefix { length } => (false, 0, length),
            PathMerit::Regex { priority } => (true, priority, 0),
        };
        // Shifts the sign bit so that negative priorities sort below positive ones as unsigned numbers.
        let priority =
            (priority.clamp(i32::MIN.into(), i32::MAX.into()) - i64::from(i32::MIN)).unsigned_abs();
        let fields = [
            (1, u64::from(merits.kinds >= 4)),
            (1, u64::from(merits.plain_hosts)),
            (1, u64::from(regex)),
            (3, u64::from(merits.kinds)),
            (8, merits.headers.min(0xFF) as u64),
            (32, priority),
            (16, length.min(0xFFFF) as u64),
            (1, u64::from(merits.plain_snis)),
        ];
        Rank(fields.into_iter().fold(0, |rank, (bits, value)| rank << bits | value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_merit_outweighs_all_that_come_after_it() {
        let plain = Merits { kinds: 1, ..Merits::default() };
        let regex = |priority| PathMerit::Regex { priority };
        let prefix = |length| PathMerit::Prefix { length };
        let ascending = [
            (plain, PathMerit::None),
            (Merits { plain_snis: true, ..plain }, PathMerit::None),
            (plain, prefix(1)),
            (Merits { plain_snis: true, ..plain }, prefix(1)),
            (plain, prefix(70_000)),
            (Merits { headers: 1, ..plain }, prefix(1)),
            (Merits { headers: 300, ..plain }, prefix(1)),
            (Merits { kinds: 2, ..plain }, prefix(1)),
            (Merits { kinds: 3, headers: 300, ..plain }, prefix(70_000)),
            (plain, regex(i64::MIN)),
            (plain, regex(-1)),
            (plain, regex(0)),
            (plain, regex(1)),
            (plain, regex(i64::MAX)),
            (Merits { headers: 1, ..plain }, regex(-5)),
            (Merits { kinds: 2, ..plain }, regex(-5)),
            (Merits { plain_hosts: true, ..plain }, PathMerit::None),
            (Merits { plain_hosts: true, kinds: 2, ..plain }, regex(0)),
            (Merits { kinds: 4, ..plain }, PathMerit::None),
            (Merits { kinds: 5, plain_hosts: true, ..plain }, regex(0)),
        ];
        let ranks: Vec<Rank> = ascending.iter().map(|(merits, path)| Rank::new(*merits, *path)).collect();
        for (index, pair) in ranks.windows(2).enumerate() {
            assert!(pair[0] < pair[1], "{:?} < {:?}", ascending[index], ascending[index + 1]);
        }
        assert!(ranks.iter().all(|rank| *rank > Rank::LOWEST));
    }
}
