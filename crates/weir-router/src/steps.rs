//! Patterns that need no automaton: characters of a class, a literal, characters of another class, and so on, such
//! as `\d+/orders/[^/]+$`. Most patterns of routes are of this kind. They take tens of bytes instead of thousands,
//! and as much less time to prepare.
//!
//! A repeated class qualifies if what follows says where it ends: a character that it does not contain, or the end.
//! Then there is one way to match at the most, and it is found going forwards.

use std::sync::{Arc, LazyLock};

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look};

use crate::pattern::{Purpose, translate};

/// A pattern as a sequence of steps, each of which must succeed in turn.
#[derive(Debug)]
pub(crate) struct Steps {
    steps: Box<[Step]>,
    /// The literals of all steps, one after another.
    literals: Box<str>,
    /// Whether the text must end where the last step does.
    to_end: bool,
}

/// As many characters of a set as there are, within limits, and a literal after them.
#[derive(Debug)]
struct Step {
    set: Set,
    least: u32,
    most: u32,
    literal_length: usize,
}

/// A set of characters.
#[derive(Debug, Clone)]
struct Set {
    ascii: u128,
    /// Those outside ASCII, in ascending order.
    others: Ranges,
}

/// First and last characters.
type Ranges = Arc<[(char, char)]>;

/// What a pattern of the right kind is made of.
enum Piece {
    Run(Run),
    Literal(String),
    End,
}

struct Run {
    class: ClassUnicode,
    least: u32,
    most: u32,
    greedy: bool,
}

impl Steps {
    /// The pattern in steps, if it is of that kind. Captures are passed over.
    pub(crate) fn of(hir: &Hir) -> Option<Steps> {
        let mut pieces = Vec::new();
        split(hir, &mut pieces)?;
        let mut steps: Vec<Step> = Vec::new();
        let mut literals = String::new();
        let mut to_end = false;
        for (index, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Run(run) => steps.push(run.step(pieces.get(index + 1))?),
                Piece::Literal(literal) => {
                    if steps.is_empty() {
                        steps.push(Step {
                            set: Set::of(&ClassUnicode::empty()),
                            least: 0,
                            most: 0,
                            literal_length: 0,
                        });
                    }
                    steps.last_mut()?.literal_length = literal.len();
                    literals.push_str(literal);
                }
                Piece::End if index + 1 == pieces.len() => to_end = true,
                Piece::End => return None,
            }
        }
        Some(Steps { steps: steps.into(), literals: literals.into(), to_end })
    }

    /// Where the match ends that begins at `from`.
    pub(crate) fn end(&self, text: &str, from: usize) -> Option<usize> {
        let mut rest = text.get(from..)?;
        let mut literals = &*self.literals;
        for step in &self.steps {
            let mut chars = rest.chars();
            let mut count = 0;
            while count < step.most && chars.clone().next().is_some_and(|next| step.set.contains(next)) {
                chars.next();
                count += 1;
            }
            if count < step.least {
                return None;
            }
            let (literal, others) = literals.split_at_checked(step.literal_length)?;
            // An empty slice may point anywhere. Comparing no bytes there is sound, but where the C library does it by
            // a masked load, the processor spends hundreds of cycles on suppressing the fault.
            rest = if literal.is_empty() { chars.as_str() } else { chars.as_str().strip_prefix(literal)? };
            literals = others;
        }
        (!self.to_end || rest.is_empty()).then_some(text.len() - rest.len())
    }
}

impl Run {
    /// The run as a step, when followed by `next`; none if it may end in several places.
    fn step(&self, next: Option<&Piece>) -> Option<Step> {
        let one_way = match next {
            _ if self.least == self.most => true,
            None | Some(Piece::End) => true,
            Some(Piece::Literal(literal)) => {
                let first = literal.chars().next()?;
                is_disjoint(&self.class, &ClassUnicode::new([ClassUnicodeRange::new(first, first)]))
            }
            Some(Piece::Run(next)) => next.least > 0 && is_disjoint(&self.class, &next.class),
        };
        // Where nothing follows, a lazy run takes no more than it must.
        let most = if next.is_none() && !self.greedy { self.least } else { self.most };
        one_way.then(|| Step { set: Set::of(&self.class), least: self.least, most, literal_length: 0 })
    }
}

impl Set {
    fn of(class: &ClassUnicode) -> Set {
        /// What the classes that everybody uses contain outside ASCII. They have hundreds of ranges and are shared.
        static COMMON: LazyLock<Vec<Ranges>> = LazyLock::new(|| {
            let class = |pattern| translate(pattern, Purpose::Path).ok().and_then(|hir| single_class(&hir));
            let classes = [r"\w", r"\d", r"\s", r"\W", r"\D", r"\S"].into_iter().filter_map(class);
            classes.map(|class| outside_ascii(&class)).collect()
        });
        let ascii = class
            .ranges()
            .iter()
            .flat_map(|range| u32::from(range.start())..=u32::from(range.end()).min(127));
        let others = outside_ascii(class);
        let common = COMMON.iter().find(|common| **common == others);
        Set { ascii: ascii.fold(0, |set, byte| set | 1 << byte), others: common.unwrap_or(&others).clone() }
    }

    fn contains(&self, character: char) -> bool {
        match u32::from(character) {
            ascii @ 0..128 => self.ascii >> ascii & 1 != 0,
            _ => {
                let after = self.others.partition_point(|(start, _)| *start <= character);
                after > 0 && self.others[after - 1].1 >= character
            }
        }
    }
}

fn outside_ascii(class: &ClassUnicode) -> Ranges {
    let mut others = class.clone();
    others.intersect(&ClassUnicode::new([ClassUnicodeRange::new('\u{80}', char::MAX)]));
    others.ranges().iter().map(|range| (range.start(), range.end())).collect()
}

fn is_disjoint(one: &ClassUnicode, other: &ClassUnicode) -> bool {
    let mut both = one.clone();
    both.intersect(other);
    both.ranges().is_empty()
}

/// Appends the pieces of `hir`; none if it has others. Depth is bounded by the parser's nesting limit.
fn split(hir: &Hir, pieces: &mut Vec<Piece>) -> Option<()> {
    match hir.kind() {
        HirKind::Empty => {}
        HirKind::Look(Look::End) => pieces.push(Piece::End),
        HirKind::Literal(literal) => {
            let literal = std::str::from_utf8(&literal.0).ok()?;
            match pieces.last_mut() {
                Some(Piece::Literal(last)) => last.push_str(literal),
                _ => pieces.push(Piece::Literal(literal.to_owned())),
            }
        }
        HirKind::Class(_) => {
            pieces.push(Piece::Run(Run { class: single_class(hir)?, least: 1, most: 1, greedy: true }));
        }
        HirKind::Repetition(repetition) => {
            let (least, most) = (repetition.min, repetition.max.unwrap_or(u32::MAX));
            let class = single_class(&repetition.sub)?;
            pieces.push(Piece::Run(Run { class, least, most, greedy: repetition.greedy }));
        }
        HirKind::Capture(capture) => split(&capture.sub, pieces)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| split(part, pieces))?,
        HirKind::Look(_) | HirKind::Alternation(_) => return None,
    }
    Some(())
}

/// The characters that `hir` matches, if it always matches exactly one.
fn single_class(hir: &Hir) -> Option<ClassUnicode> {
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => Some(class.clone()),
        HirKind::Class(Class::Bytes(class)) => class.to_unicode_class(),
        HirKind::Literal(literal) => {
            let mut chars = std::str::from_utf8(&literal.0).ok()?.chars();
            let only = chars.next().filter(|_| chars.as_str().is_empty())?;
            Some(ClassUnicode::new([ClassUnicodeRange::new(only, only)]))
        }
        HirKind::Capture(capture) => single_class(&capture.sub),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn steps(pattern: &str) -> Option<Steps> {
        Steps::of(&translate(pattern, Purpose::Path).unwrap())
    }

    #[test]
    fn which_patterns_qualify() {
        for pattern in [
            r"\d+",
            r"\w+/x$",
            "[^/]+/orders/(?<id>[0-9a-f-]{36})$",
            "(?i)users/",
            ".*",
            ".*$",
            r"[a-z]+\d+/",
            "[ab]{2}a",
            "é+ab",
            r"\w{1,64}/é",
            "a*?",
            "x?/",
            "",
        ] {
            assert!(steps(pattern).is_some(), "{pattern}");
        }
        for pattern in [
            "a|b/",
            ".*foo",
            r"\w+\d",
            "[a-z]+a",
            "[a-z]+[a-z]",
            r"[a-z]*\d*a",
            r"a\b",
            "(ab)+",
            "^a",
            "a$b",
            r"\w+é",
        ] {
            assert!(steps(pattern).is_none(), "{pattern}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn steps_match_what_the_regex_crate_matches(
            pieces in proptest::collection::vec(
                r"(a|b|/|ab|[ab]|é|\[ab\]|\[\^/\]|\\d|\\w|\\W|\[é-ñ\]|\.|\(b\)|\(\[a1\]\)|\(\?-u:\\w\))(|\*|\+|\?|\{2\}|\{1,2\}|\*\?|\+\?)", 0..5),
            anchored: bool,
            text in "[ab1/éñ-]{0,8}",
        ) {
            let pattern = format!("{}{}", pieces.concat(), if anchored { "$" } else { "" });
            if let Some(steps) = steps(&pattern) {
                let expected = regex::Regex::new(&format!("^(?:x(?:{pattern}))")).unwrap();
                let text = format!("x{text}");
                let expected = expected.find(&text).map(|found| found.end());
                prop_assert_eq!(steps.end(&text, 1), expected, "{}", pattern);
            }
        }
    }
}
