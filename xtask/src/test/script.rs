//! The tour's notation: what a reader types, and what they then see.
//!
//! Between the lines `<!-- tour -->` and `<!-- /tour -->` of a Markdown file, fenced blocks are run:
//!
//! - ` ```sh ` holds commands only: the block is run as one script, which must exit 0.
//! - ` ```console ` holds a session. A line that begins with `$ ` is a command; a command goes on after a line that ends
//!   in `\`, and on lines that begin with `> `. All other lines are the output that the command must have: none given,
//!   none checked. In them `…` or `...` stands for any text within the line, and alone on a line for any lines at all.
//!   A command must exit 0, or as a trailing comment says: `# exit 1`.
//!
//! Blocks of other languages are for reading. A file may hold several tours; they are run as one.

use anyhow::{Result, bail};

/// A command with what is expected of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Where it is, counted from 1.
    pub(super) line: usize,
    /// What the shell is given.
    pub(super) command: String,
    /// The output expected, `None` when any will do.
    pub(super) output: Option<Vec<String>>,
    /// The exit status expected.
    pub(super) exit: i32,
}

const BEGIN: &str = "<!-- tour -->";
const END: &str = "<!-- /tour -->";

/// Reads the steps of a file's tours; none when it holds no tour.
pub(super) fn parse(markdown: &str) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut lines = markdown.lines().enumerate().map(|(index, line)| (index + 1, line));
    let mut touring = None;
    while let Some((number, line)) = lines.next() {
        match (line.trim(), touring) {
            (BEGIN, None) => touring = Some(number),
            (END, Some(_)) => touring = None,
            (BEGIN, Some(before)) => bail!("line {number}: a tour begins within that of line {before}"),
            (END, None) => bail!("line {number}: a tour ends that did not begin"),
            (fence, at) if fence.starts_with("```") => {
                let language = fence.trim_start_matches('`').split([' ', ',']).next().unwrap_or_default();
                let block: Vec<_> =
                    lines.by_ref().take_while(|(_, line)| !line.trim().starts_with("```")).collect();
                match language {
                    "sh" if at.is_some() => steps.extend(script(&block)),
                    "console" if at.is_some() => steps.extend(session(&block)?),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    match touring {
        Some(number) => bail!("line {number}: a tour begins and does not end"),
        None => Ok(steps),
    }
}

fn script(block: &[(usize, &str)]) -> Option<Step> {
    let (line, _) = *block.first()?;
    let text: Vec<_> = block.iter().map(|(_, line)| *line).collect();
    // One command that fails is the script's failure.
    Some(Step { line, command: format!("set -e\n{}\nset +e", text.join("\n")), output: None, exit: 0 })
}

fn session(block: &[(usize, &str)]) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for &(line, text) in block {
        if let Some(command) = text.strip_prefix("$ ") {
            goes_on = command.ends_with('\\');
            steps.push(Step { line, command: command.to_owned(), output: None, exit: exit_of(command) });
            continue;
        }
        let Some(step) = steps.last_mut() else {
            bail!("line {line}: a console block begins with a command, `$ ...`");
        };
        let continuation = text.strip_prefix("> ").filter(|_| step.output.is_none());
        if goes_on || continuation.is_some() {
            let more = continuation.unwrap_or(text);
            step.command.push('\n');
            step.command.push_str(more);
            step.exit = exit_of(more);
            goes_on = more.ends_with('\\');
        } else {
            step.output.get_or_insert_default().push(text.to_owned());
        }
    }
    Ok(steps)
}

fn exit_of(command: &str) -> i32 {
    command.rsplit_once("# exit ").and_then(|(_, status)| status.trim().parse().ok()).unwrap_or(0)
}

/// Whether an output is what was expected; otherwise what differs first.
pub(super) fn compare(expected: &[String], output: &str) -> Result<(), String> {
    let lines: Vec<_> = output.trim_end().lines().map(str::trim_end).collect();
    let expected: Vec<_> = expected.iter().map(|line| line.trim_end()).collect();
    // Blank lines at the end of a block are layout.
    let length = expected.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
    if match_lines(&expected[..length], &lines) {
        return Ok(());
    }
    Err(format!("expected:\n{}\ngot:\n{}", indent(&expected[..length]), indent(&lines)))
}

fn indent(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

fn match_lines(expected: &[&str], lines: &[&str]) -> bool {
    match expected.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if is_ellipsis(first.trim()) => {
            (0..=lines.len()).any(|taken| match_lines(rest, &lines[taken..]))
        }
        Some((first, rest)) => {
            lines.split_first().is_some_and(|(line, more)| match_line(first, line) && match_lines(rest, more))
        }
    }
}

fn is_ellipsis(text: &str) -> bool {
    text == "…" || text == "..."
}

/// Whether a line is what was expected, where `…` and `...` match anything. The pieces between them must come in order.
fn match_line(expected: &str, line: &str) -> bool {
    let pieces = expected.replace("...", "…");
    let mut pieces = pieces.split('…');
    let Some(mut rest) = pieces.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(line: usize, command: &str, output: Option<&[&str]>, exit: i32) -> Step {
        let output = output.map(|lines| lines.iter().map(|line| (*line).to_owned()).collect());
        Step { line, command: command.into(), output, exit }
    }

    #[test]
    fn only_blocks_of_a_tour_are_steps() {
        let text = "```sh\nrm x\n```\n<!-- tour -->\n```sh\na\nb\n```\n```json\n{}\n```\n<!-- /tour -->\n```console\n$ c\n```";
        assert_eq!(parse(text).unwrap(), [step(6, "set -e\na\nb\nset +e", None, 0)]);
        assert_eq!(parse("# Weir\n").unwrap(), []);
    }

    #[test]
    fn sessions_hold_commands_and_their_output() {
        let text = "<!-- tour -->\n```console\n$ weir start &\n$ curl \\\n    -d a=b \\\n    :8001\nHTTP/1.1 …\n\n{\n$ cat <<E\n> $ x\n> E\n$ x # exit 3\n```\n<!-- /tour -->";
        let steps = parse(text).unwrap();
        assert_eq!(
            steps,
            [
                step(3, "weir start &", None, 0),
                step(4, "curl \\\n    -d a=b \\\n    :8001", Some(&["HTTP/1.1 …", "", "{"]), 0),
                step(10, "cat <<E\n$ x\nE", None, 0),
                step(13, "x # exit 3", None, 3),
            ]
        );
    }

    #[test]
    fn broken_tours_are_refused() {
        for text in [
            "<!-- tour -->",
            "<!-- /tour -->",
            "<!-- tour -->\n<!-- tour -->\n<!-- /tour -->",
            "<!-- tour -->\n```console\noutput\n```\n<!-- /tour -->",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ellipses_match_within_lines_and_over_lines() {
        let matches = |expected: &str, output: &str| {
            compare(&expected.lines().map(str::to_owned).collect::<Vec<_>>(), output).is_ok()
        };
        assert!(matches("a\nb", "a  \nb\n\n"));
        assert!(!matches("a\nb", "a\nb\nc"));
        assert!(!matches("a\nb", "a"));
        assert!(matches("id: …, at ...", "id: 4f, at 12:00"));
        assert!(!matches("id: …, at 1", "id: 4f, at 12"));
        assert!(matches("{\n...\n}", "{\n1\n2\n}"));
        assert!(matches("…", ""));
        assert!(matches("{…}\n", "{}"));
        assert!(!matches("ab…ba", "aba"));
        assert!(matches("a…b…c", "a1b2b3c"));
        assert!(!matches("a…x…c", "a1b2b3c"));
    }
}
