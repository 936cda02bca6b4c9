//! Compiled patterns.
//!
//! Traffic is almost all ASCII, and what a pattern means for ASCII compiles to a DFA of some hundred bytes even where
//! Unicode's classes would take many kilobytes. So each program has that DFA: immutable, shared by all threads, searched
//! without scratch memory. Only text with other characters, patterns whose DFA would be large, and captures use a second
//! engine, made from the full pattern when first needed.
//!
//! Restricting a pattern to ASCII is exact for ASCII text: no character outside it can take part in a match, and Unicode's
//! word boundaries agree with ASCII's there.

use std::sync::OnceLock;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::captures::Captures;
use regex_automata::{Anchored, Input, meta};
use regex_syntax::hir::{Capture, Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look, Repetition};

use crate::pattern::{Purpose, translate};

/// How many bytes a DFA may take. Patterns beyond it are matched by an NFA, slower but small.
const DFA_LIMIT: usize = 32 << 10;

/// How many of a pattern's inner literals are offered to the index, and how much of each.
const RUNS: usize = 4;
const RUN_LENGTH: usize = 64;

/// A pattern ready to match.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) source: Box<str>,
    pub(crate) purpose: Purpose,
    /// Texts one of which, each for itself, follows a `/` in everything that the pattern matches.
    pub(crate) runs: Box<[Box<[u8]>]>,
    ascii: Option<Box<dense::DFA<Vec<u32>>>>,
    full: OnceLock<Option<meta::Regex>>,
}

impl Program {
    /// Compiles a pattern that [`crate::pattern`] has accepted. One that it has not matches nothing.
    pub(crate) fn compile(source: &str, purpose: Purpose) -> Program {
        let hir = translate(source, purpose).unwrap_or_else(|_| Hir::fail());
        Program {
            source: source.into(),
            purpose,
            runs: required_runs(&hir),
            ascii: ascii_dfa(&restrict_to_ascii(&hir), purpose).map(Box::new),
            full: OnceLock::new(),
        }
    }

    /// Where the match ends that begins at byte `from` of the path. `ascii` says whether the path is ASCII.
    pub(crate) fn path_end(&self, path: &str, from: usize, ascii: bool) -> Option<usize> {
        let input = Input::new(path).range(from..).anchored(Anchored::Yes);
        if let (true, Some(dfa)) = (ascii, &self.ascii) {
            // A DFA without quit bytes, asked for a start it was built with, cannot fail.
            return dfa.try_search_fwd(&input).ok().flatten().map(|found| found.offset());
        }
        self.full()?.search_half(&input).map(|found| found.offset())
    }

    /// Whether a header's value matches.
    pub(crate) fn is_match(&self, value: &[u8]) -> bool {
        let input = Input::new(value).earliest(true);
        if let (true, Some(dfa)) = (value.is_ascii(), &self.ascii) {
            return dfa.try_search_fwd(&input).is_ok_and(|found| found.is_some());
        }
        self.full().is_some_and(|full| full.search_half(&input).is_some())
    }

    /// The groups of the match that begins at byte `from` of the path.
    pub(crate) fn captures(&self, path: &str, from: usize) -> Option<Captures> {
        let full = self.full()?;
        let mut captures = full.create_captures();
        full.search_captures(&Input::new(path).range(from..).anchored(Anchored::Yes), &mut captures);
        captures.is_match().then_some(captures)
    }

    /// The engine for everything. It cannot fail to compile what was accepted: the size was checked then.
    fn full(&self) -> Option<&meta::Regex> {
        let compile = || {
            let hir = translate(&self.source, self.purpose).ok()?;
            let config = meta::Config::new().hybrid(false).utf8_empty(self.purpose == Purpose::Path);
            meta::Builder::new()
                .configure(config.onepass_size_limit(Some(DFA_LIMIT)))
                .build_from_hir(&hir)
                .ok()
        };
        self.full.get_or_init(compile).as_ref()
    }
}

fn ascii_dfa(hir: &Hir, purpose: Purpose) -> Option<dense::DFA<Vec<u32>>> {
    let nfa = thompson::Config::new().which_captures(thompson::WhichCaptures::None);
    let nfa = thompson::Compiler::new().configure(nfa).build_from_hir(hir).ok()?;
    let start = match purpose {
        Purpose::Path => StartKind::Anchored,
        Purpose::Header => StartKind::Unanchored,
    };
    let config = dense::Config::new()
        .start_kind(start)
        .dfa_size_limit(Some(DFA_LIMIT))
        .determinize_size_limit(Some(8 * DFA_LIMIT));
    dense::Builder::new().configure(config).build_from_nfa(&nfa).ok()
}

/// The pattern's meaning for text that is ASCII throughout. Depth is bounded by the parser's nesting limit.
fn restrict_to_ascii(hir: &Hir) -> Hir {
    let all = |parts: &[Hir]| parts.iter().map(restrict_to_ascii).collect();
    match hir.kind() {
        HirKind::Literal(literal) if !literal.0.is_ascii() => Hir::fail(),
        HirKind::Class(Class::Unicode(class)) => {
            let mut class = class.clone();
            class.intersect(&ClassUnicode::new([ClassUnicodeRange::new('\0', '\x7F')]));
            Hir::class(Class::Unicode(class))
        }
        HirKind::Look(look) => Hir::look(ascii_look(*look)),
        HirKind::Repetition(repetition) => {
            let sub = Box::new(restrict_to_ascii(&repetition.sub));
            Hir::repetition(Repetition { sub, ..repetition.clone() })
        }
        HirKind::Capture(capture) => {
            let sub = Box::new(restrict_to_ascii(&capture.sub));
            Hir::capture(Capture { sub, ..capture.clone() })
        }
        HirKind::Concat(parts) => Hir::concat(all(parts)),
        HirKind::Alternation(parts) => Hir::alternation(all(parts)),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(Class::Bytes(_)) => hir.clone(),
    }
}

fn ascii_look(look: Look) -> Look {
    match look {
        Look::WordUnicode => Look::WordAscii,
        Look::WordUnicodeNegate => Look::WordAsciiNegate,
        Look::WordStartUnicode => Look::WordStartAscii,
        Look::WordEndUnicode => Look::WordEndAscii,
        Look::WordStartHalfUnicode => Look::WordStartHalfAscii,
        Look::WordEndHalfUnicode => Look::WordEndHalfAscii,
        other => other,
    }
}

/// Of each literal that the pattern cannot do without: what follows its first `/`.
fn required_runs(hir: &Hir) -> Box<[Box<[u8]>]> {
    let mut literals = vec![Vec::new()];
    collect_required(hir, &mut literals);
    let after_slash = |literal: &Vec<u8>| {
        let slash = literal.iter().position(|byte| *byte == b'/')?;
        let run = &literal[slash + 1..];
        (!run.is_empty()).then(|| run[..run.len().min(RUN_LENGTH)].into())
    };
    literals.iter().filter_map(after_slash).take(RUNS).collect()
}

/// Appends the required literals of `hir`: to the last one while it goes on, as a new one after a gap.
fn collect_required(hir: &Hir, literals: &mut Vec<Vec<u8>>) {
    match hir.kind() {
        HirKind::Literal(literal) => match literals.last_mut() {
            Some(last) => last.extend_from_slice(&literal.0),
            None => literals.push(literal.0.to_vec()),
        },
        HirKind::Capture(capture) => collect_required(&capture.sub, literals),
        HirKind::Concat(parts) => parts.iter().for_each(|part| collect_required(part, literals)),
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Class(_) | HirKind::Repetition(_) | HirKind::Alternation(_) => literals.push(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_mean_what_the_regex_crate_means() {
        let paths =
            ["/", "/12", "/12x", "/é", "/١٢", "/a-b_c", "/ab/orders/7", "/Straße", "/\n", "/a b", "/ſ"];
        for pattern in [
            r"\d+",
            r"\w*",
            r"\w+\b",
            r"[^/]+",
            ".*",
            "(?i)s",
            r"\S+/orders/\d+$",
            "é|a",
            r"\B",
            "$",
            "[[:word:]]+",
            r"\W",
        ] {
            let program = Program::compile(pattern, Purpose::Path);
            let expected = regex::Regex::new(&format!("^(?:/(?:{pattern}))")).unwrap();
            for path in paths {
                let end = expected.find(path).map(|found| found.end());
                assert_eq!(program.path_end(path, 1, path.is_ascii()), end, "{pattern} on {path}");
                assert_eq!(program.path_end(path, 1, false), end, "{pattern} on {path}, full");
            }
        }
    }

    #[test]
    fn header_patterns_match_anywhere_in_any_case() {
        let program = Program::compile(r"^v\d|É", Purpose::Header);
        for (value, expected) in
            [(&b"v1"[..], true), (b"V1", true), (b"xv1", false), ("xé".as_bytes(), true), (b"\xff", false)]
        {
            assert_eq!(program.is_match(value), expected, "{value:?}");
        }
        assert!(Program::compile(r"\D$", Purpose::Header).is_match(b"1x\xff\xffa"));
    }

    #[test]
    fn small_patterns_have_a_small_dfa_and_large_ones_do_without() {
        let dfa = |pattern| Program::compile(pattern, Purpose::Path).ascii.map(|dfa| dfa.memory_usage());
        assert!(dfa(r"(?<id>\w+)/x$").unwrap() < 2048);
        assert_eq!(dfa("[ab]*a[ab]{14}x"), None);
        let program = Program::compile("[ab]*a[ab]{14}x", Purpose::Path);
        assert_eq!(program.path_end("/abbbbbbbbbbbbbbx", 1, true), Some(17));
        assert_eq!(program.path_end("/bbbbbbbbbbbbbbbx", 1, true), None);
    }

    #[test]
    fn runs_are_what_a_match_must_contain() {
        for (pattern, runs) in [
            (r"\d+", &[][..]),
            (r"v\d+/svc7/x", &["svc7/x"]),
            (r"(?<t>[^/]+)/a/(\d+)/b/c$", &["a/", "b/c"]),
            ("(x/a|y)/b", &["b"]),
            ("(x/a)/b", &["a/b"]),
            ("(/a)?/", &[]),
        ] {
            let found = Program::compile(pattern, Purpose::Path).runs;
            let found: Vec<_> = found.iter().map(|run| std::str::from_utf8(run).unwrap()).collect();
            assert_eq!(found, runs, "{pattern}");
        }
    }
}
