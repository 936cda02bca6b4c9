//! Regular expressions as configuration writes them: read, judged and taken apart, not yet compiled.
//!
//! Semantics are those of the `regex` crate, Unicode included. A pattern for paths is anchored at the path's start as a
//! whole, alternatives too. It is split into the literal that it begins with, by which the router's index finds it, and
//! the rest, which is compiled: routes that differ in that literal alone share one compiled program.
//!
//! What a pattern may cost is bounded here: its nesting, and the size of its compiled form, estimated from its syntax so
//! that reading a hundred thousand patterns does not mean compiling them. Matching takes time in proportion to that size
//! times the length of what is matched, never more.

use regex_syntax::ast::{self, Ast};
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::error::Reason;

/// How many bytes the compiled form of a pattern may take, about.
///
/// Enough for `[\w-]{1,200}`. What is compiled when a route is inserted is the part that ASCII can match, mostly under a
/// kilobyte; the whole is compiled when the first path or value with other characters comes that far, and only then.
pub const SIZE_LIMIT: usize = 4 << 20;

/// How deep groups, classes and repetitions may nest.
const NEST_LIMIT: u32 = 100;

/// A pattern that can be compiled.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// What everything matched begins with. Empty for headers, whose patterns are not anchored.
    pub(crate) literal: Box<str>,
    /// What follows the literal; nothing if the pattern is a literal as a whole.
    pub(crate) rest: Option<Box<str>>,
}

impl Pattern {
    /// Reads a pattern for paths, without its `~`.
    pub(crate) fn of_path(pattern: &str) -> Result<Pattern, Reason> {
        let ast = read(pattern)?;
        let (literal, end) = leading_literal(&ast);
        let rest = (end < pattern.len()).then(|| pattern[end..].into());
        check(pattern, Purpose::Path)?;
        Ok(Pattern { literal: literal.into(), rest })
    }

    /// Reads a pattern for header values, without its `~*`.
    pub(crate) fn of_header(pattern: &str) -> Result<Pattern, Reason> {
        read(pattern)?;
        check(pattern, Purpose::Header)?;
        Ok(Pattern { literal: "".into(), rest: Some(pattern.into()) })
    }
}

/// What a pattern is matched against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// A path, from where the pattern's literal ends, with regard to case.
    Path,
    /// A header's value, anywhere in it, without regard to case.
    Header,
}

/// The pattern's meaning, or why it has none and at which byte.
pub(crate) fn translate(pattern: &str, purpose: Purpose) -> Result<Hir, Reason> {
    regex_syntax::ParserBuilder::new()
        .nest_limit(NEST_LIMIT)
        .case_insensitive(purpose == Purpose::Header)
        .build()
        .parse(pattern)
        .map_err(|error| match error {
            regex_syntax::Error::Parse(error) => refused(error.kind(), error.span().start.offset),
            regex_syntax::Error::Translate(error) => refused(error.kind(), error.span().start.offset),
            other => refused(other, 0),
        })
}

/// The pattern's syntax, refusing what other engines mean by syntax that this one reads differently.
fn read(pattern: &str) -> Result<Ast, Reason> {
    let ast = ast::parse::ParserBuilder::new()
        .nest_limit(NEST_LIMIT)
        .build()
        .parse(pattern)
        .map_err(|error| refused(error.kind(), error.span().start.offset))?;
    ast::visit(&ast, RefusePossessive)?;
    Ok(ast)
}

/// Refuses a pattern that has no meaning or whose compiled form is too large.
fn check(pattern: &str, purpose: Purpose) -> Result<(), Reason> {
    let hir = translate(pattern, purpose)?;
    match compiled_size(&hir) {
        needed if needed > SIZE_LIMIT => Err(Reason::PatternTooLarge { needed }),
        _ => Ok(()),
    }
}

fn refused(message: impl ToString, at: usize) -> Reason {
    Reason::Pattern { message: message.to_string(), at }
}

/// Finds `a++` and its like: possessive in PCRE, a repetition of a repetition here.
struct RefusePossessive;

impl ast::Visitor for RefusePossessive {
    type Output = ();
    type Err = Reason;

    fn finish(self) -> Result<(), Reason> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Reason> {
        match ast {
            Ast::Repetition(outer)
                if matches!(*outer.ast, Ast::Repetition(_))
                    && outer.op.kind == ast::RepetitionKind::OneOrMore =>
            {
                let message =
                    "possessive quantifiers are not supported: matching never backtracks, leave out the +";
                Err(refused(message, outer.op.span.start.offset))
            }
            _ => Ok(()),
        }
    }
}

/// The characters that the pattern begins with whatever follows, and the offset where they end.
///
/// A flag such as `(?i)` ends the literal and stays in the rest, where it holds for what follows it.
fn leading_literal(ast: &Ast) -> (String, usize) {
    let items = match ast {
        Ast::Concat(concat) => concat.asts.as_slice(),
        single => std::slice::from_ref(single),
    };
    let mut literal = String::new();
    let mut end = 0;
    for item in items {
        let Ast::Literal(item) = item else { break };
        literal.push(item.c);
        end = item.span.end.offset;
    }
    (literal, end)
}

/// About how many bytes the pattern takes as an NFA, measured per kind of node. Errs on the large side.
fn compiled_size(hir: &Hir) -> usize {
    const STATE: usize = 32;
    /// A range of characters: one to four sequences of bytes, most of which share their states.
    const RANGE: usize = 24;
    /// What characters outside ASCII add once to a class, for all lengths of their sequences.
    const MULTIBYTE: usize = 384;
    let sum = |parts: &[Hir]| parts.iter().map(compiled_size).fold(STATE, usize::saturating_add);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => STATE,
        HirKind::Literal(literal) => STATE * literal.0.len(),
        HirKind::Class(Class::Unicode(class)) if class.is_ascii() => STATE + RANGE * class.ranges().len(),
        HirKind::Class(Class::Unicode(class)) => STATE + MULTIBYTE + RANGE * class.ranges().len(),
        HirKind::Class(Class::Bytes(class)) => STATE + RANGE * class.ranges().len(),
        HirKind::Capture(capture) => compiled_size(&capture.sub).saturating_add(2 * STATE),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => sum(parts),
        HirKind::Repetition(repetition) => {
            let copies = repetition.max.unwrap_or(repetition.min.saturating_add(1)).max(1);
            compiled_size(&repetition.sub).saturating_add(STATE).saturating_mul(copies as usize)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pattern: &str) -> (String, Option<String>) {
        let pattern = Pattern::of_path(pattern).unwrap();
        (pattern.literal.into(), pattern.rest.map(Into::into))
    }

    #[test]
    fn a_pattern_is_split_after_its_literal() {
        for (pattern, literal, rest) in [
            ("/a", "/a", None),
            (r"/a\/b\.c", "/a/b.c", None),
            (r"/u/\d+", "/u/", Some(r"\d+")),
            ("/ab*c", "/a", Some("b*c")),
            ("/(a|b)/c", "/", Some("(a|b)/c")),
            ("/a|/b", "", Some("/a|/b")),
            ("/a(?i)b", "/a", Some("(?i)b")),
            ("/é+", "/", Some("é+")),
            (r"/\x41\u{42}c$", "/ABc", Some("$")),
        ] {
            assert_eq!(split(pattern), (literal.to_owned(), rest.map(str::to_owned)), "{pattern}");
        }
    }

    #[test]
    fn what_cannot_be_matched_is_refused_with_its_place() {
        for (pattern, at, words) in [
            ("/a(?=b)", 2, "look-around"),
            ("/a(?<!b)c", 2, "look-around"),
            (r"/(a)\1", 4, "backreference"),
            (r"/\d++x", 4, "possessive"),
            ("/a?+", 3, "possessive"),
            ("/(?>a)", 3, "flag"),
            ("/a(b", 2, "unclosed group"),
            ("/[z-a]", 2, "range"),
            (r"/aa\p{Nope}", 3, "property"),
        ] {
            match Pattern::of_path(pattern).unwrap_err() {
                Reason::Pattern { message, at: found } => {
                    assert!(message.contains(words), "{pattern}: {message}");
                    assert_eq!(found, at, "{pattern}: {message}");
                }
                other => panic!("{pattern}: {other}"),
            }
        }
        assert!(Pattern::of_header("(?=a)").is_err());
    }

    #[test]
    fn a_pattern_may_not_grow_without_bound() {
        for pattern in ["/a{1000}{1000}", r"/\w{1000}", r"/(\w{100}){100}", "/(((a{100}){100}){100}){100}"] {
            assert!(matches!(Pattern::of_path(pattern), Err(Reason::PatternTooLarge { .. })), "{pattern}");
        }
        let nested = format!("/{}a{}", "(".repeat(200), ")".repeat(200));
        assert!(matches!(Pattern::of_path(&nested), Err(Reason::Pattern { .. })));
        for pattern in [r"/[\w-]{1,200}", r"/\d{1,1000}", "/[0-9a-f]{8}-[0-9a-f]{4}$"] {
            assert!(Pattern::of_path(pattern).is_ok(), "{pattern}");
        }
    }

    #[test]
    fn the_estimate_is_no_less_than_the_compiled_form() {
        use regex_automata::nfa::thompson::Compiler;
        for pattern in [
            r"\w",
            r"\w+",
            r"\d{1,20}",
            r"\pL",
            ".*",
            r"[^/]+/(?<x>\w+)$",
            "(a|b|é)*",
            r"\S{3}",
            "(?i)straße",
        ] {
            let hir = translate(pattern, Purpose::Path).unwrap();
            let real = Compiler::new().build_from_hir(&hir).unwrap().memory_usage();
            // Every NFA has about 700 bytes whatever its pattern.
            assert!(compiled_size(&hir) + 800 >= real, "{pattern}: {} < {real}", compiled_size(&hir));
        }
    }
}
