//! User-data as a MIME message of several parts (RFC 2045, RFC 2046 5.1): read where its parts are, and a part added.
//!
//! Read as strictly as a writer should write: what Python's lenient parser, cloud-init's, might understand in another way is
//! refused. A new part goes last; every byte around it stays. A part that configures a seed already is an error, or
//! with [`Options::replace`] has it replaced inside that part, which is encoded anew only where it was encoded.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::user_data::{self, Kind};
use super::{MergeError, Options, Place, Template};

/// More parts, or messages within messages, than anybody means.
const MAX_PARTS: usize = 1000;
const MAX_DEPTH: usize = 8;

/// A message, or a part of one.
struct Part {
    media_type: String,
    encoding: String,
    body: Range<usize>,
    /// Where another part would go, with what separates it, if it has parts.
    inside: Option<Inside>,
}

struct Inside {
    /// Where the closing delimiter's line begins.
    close: usize,
    boundary: String,
    newline: &'static str,
}

/// The seed added to a message.
pub(super) fn merge(text: &str, options: Options) -> Result<Template, MergeError> {
    let mut parts = Vec::new();
    read(text, 0..text.len(), 0, &mut parts)?;
    for part in &parts {
        if let Some(template) = part.replace(text, options)? {
            return Ok(template);
        }
    }
    let Some(inside) = parts.first().and_then(|whole| whole.inside.as_ref()) else {
        let why = "a MIME message of one part, which nothing can be added to: take the headers off it";
        return Err(MergeError::malformed(text, 0, why));
    };
    let (before, after) = text.split_at_checked(inside.close).unwrap_or((text, ""));
    let part = new_part(options);
    let part = part.within(&format!("--{}\n{}", inside.boundary, SEED_PART), "\n");
    Ok(part.with_newlines(inside.newline).within(before, after))
}

/// A message of two parts: what there was, and the seed.
pub(super) fn wrap(text: &str, kind: Kind, options: Options) -> Result<Template, MergeError> {
    let boundary = boundary()?;
    // Python decodes text that is not ASCII in a way of its own, unless it is encoded.
    let (charset, encoding, body) = match text.is_ascii() {
        true => ("us-ascii", "7bit", text.to_owned()),
        false => ("utf-8", "base64", in_lines(&STANDARD.encode(text))),
    };
    let head = format!(
        "Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\n\n\
         --{boundary}\nContent-Type: {}; charset=\"{charset}\"\nMIME-Version: 1.0\n\
         Content-Transfer-Encoding: {encoding}\n\n{body}\n--{boundary}\n{SEED_PART}",
        kind.media_type()
    );
    Ok(new_part(options).within(&head, &format!("\n--{boundary}--\n")))
}

/// The headers of the part with the seed.
const SEED_PART: &str = "Content-Type: text/cloud-config; charset=\"us-ascii\"\nMIME-Version: 1.0\n\
    Content-Transfer-Encoding: 7bit\nContent-Disposition: attachment; filename=\"random-seed.cfg\"\n\n";

/// The part's body. Its last line end is there before the delimiter's own, which is no part of it.
fn new_part(options: Options) -> Template {
    user_data::new(options)
}

/// Unguessable, so that no document has it in it.
fn boundary() -> Result<String, MergeError> {
    let bytes = weir_kernel::array::<16>().map_err(|error| MergeError::Unfit(error.to_string()))?;
    Ok(format!("weir-{:032x}", u128::from_be_bytes(bytes)))
}

fn in_lines(text: &str) -> String {
    let lines: Vec<&str> =
        text.as_bytes().chunks(76).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    lines.join("\n")
}

impl Part {
    /// The message with the seed in this part's own place for one, if it has one; an error, if it may not be replaced.
    fn replace(&self, text: &str, options: Options) -> Result<Option<Template>, MergeError> {
        if self.inside.is_some() {
            return Ok(None);
        }
        let place = Place::of(text.as_bytes(), self.body.start);
        let Some(body) = self.decoded(text, place)? else { return Ok(None) };
        let named = Kind::of_media_type(&self.media_type);
        // The types for which cloud-init looks at the text itself.
        let looks = ["text/plain", "text/x-not-multipart", "text/x-shellscript"];
        let kind = if looks.contains(&self.media_type.as_str()) { Kind::of(&body).or(named) } else { named };
        let above = place.line - 1;
        let is_encoded = !self.is_plain();
        match kind {
            Some(Kind::CloudConfig) => {}
            Some(kind) => return kind.check(&body, if is_encoded { 0 } else { above }).map(|()| None),
            None => return Ok(None),
        }
        let placed =
            |error: MergeError| if is_encoded { self.inside_out(error, place) } else { error.down(above) };
        let merged = match user_data::merge_cloud_config(&body, Options { replace: false, ..options }) {
            Ok(_) => return Ok(None),
            Err(MergeError::Present { .. }) if options.replace => {
                user_data::merge_cloud_config(&body, options).map_err(placed)?
            }
            Err(error) => return Err(placed(error)),
        };
        let (before, after) =
            (text.get(..self.body.start).unwrap_or_default(), text.get(self.body.end..).unwrap_or_default());
        Ok(Some(if is_encoded { merged.encoded_within(before, after) } else { merged.within(before, after) }))
    }

    /// An error in a text that is not to be seen in the document: the part's place, and the place within.
    fn inside_out(&self, error: MergeError, place: Place) -> MergeError {
        match error {
            MergeError::Malformed { place: within, why } => {
                MergeError::Malformed { place, why: format!("in this part, decoded, at {within}: {why}") }
            }
            MergeError::Present { what, .. } => MergeError::Present { place, what },
            other => other,
        }
    }

    fn is_plain(&self) -> bool {
        ["", "7bit", "8bit", "binary"].contains(&self.encoding.as_str())
    }

    /// The body as text, or `None` for what is no text.
    fn decoded(&self, text: &str, place: Place) -> Result<Option<String>, MergeError> {
        let body = text.get(self.body.clone()).unwrap_or_default();
        let malformed = |why: &str| MergeError::Malformed { place, why: why.to_owned() };
        if self.is_plain() {
            return Ok(Some(body.to_owned()));
        }
        let bytes = match self.encoding.as_str() {
            "base64" => {
                let packed: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
                STANDARD
                    .decode(packed)
                    .map_err(|_| malformed("this part says that it is base64, and is not"))?
            }
            other => {
                let why = format!(
                    "this part is encoded as {other}, which is not read here; use base64, 7bit or 8bit"
                );
                return Err(malformed(&why));
            }
        };
        if bytes.starts_with(&[0x1f, 0x8b]) {
            return Err(malformed(
                "this part is compressed, so nobody sees whether it has a seed; unpack it first",
            ));
        }
        Ok(String::from_utf8(bytes).ok())
    }
}

/// Reads a message and its parts, outermost first.
fn read(text: &str, range: Range<usize>, depth: usize, parts: &mut Vec<Part>) -> Result<(), MergeError> {
    if depth > MAX_DEPTH || parts.len() >= MAX_PARTS {
        return Err(MergeError::malformed(text, range.start, "more parts than anybody means"));
    }
    let (headers, body) = headers(text, range)?;
    let field = |name: &str| {
        headers
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value.as_str())
    };
    let content_type = field("content-type");
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let media_type = if media_type.is_empty() { "text/plain".to_owned() } else { media_type };
    let encoding = field("content-transfer-encoding").trim().to_ascii_lowercase();
    let is_multipart = media_type.starts_with("multipart/");
    let at = parts.len();
    parts.push(Part { media_type, encoding, body: body.clone(), inside: None });
    if !is_multipart {
        return Ok(());
    }
    let Some(boundary) = parameter(content_type, "boundary") else {
        return Err(MergeError::malformed(
            text,
            body.start,
            "the headers above name no boundary between parts",
        ));
    };
    let (ranges, inside) = split(text, body, boundary)?;
    for range in ranges {
        read(text, range, depth + 1, parts)?;
    }
    if let Some(part) = parts.get_mut(at) {
        part.inside = Some(inside);
    }
    Ok(())
}

type Headers = Vec<(String, String)>;

/// The fields, with what was folded unfolded, and the range of the body.
fn headers(text: &str, range: Range<usize>) -> Result<(Headers, Range<usize>), MergeError> {
    let mut fields: Headers = Vec::new();
    let mut at = range.start;
    for line in text.get(range.clone()).unwrap_or_default().split_inclusive('\n') {
        let content = line.trim_end_matches(['\r', '\n']);
        let here = at;
        at += line.len();
        if content.is_empty() {
            return Ok((fields, at..range.end));
        }
        if content.starts_with([' ', '\t']) {
            let Some((_, value)) = fields.last_mut() else {
                return Err(MergeError::malformed(text, here, "a header field cannot begin with a blank"));
            };
            value.push_str(content);
            continue;
        }
        // The line that the Unix mailbox format begins with, which Python passes over.
        if here == range.start && content.starts_with("From ") {
            continue;
        }
        match content.split_once(':') {
            Some((name, value)) if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()) => {
                fields.push((name.to_owned(), value.trim().to_owned()));
            }
            _ => {
                let why = "cloud-init takes this for a MIME message, and this is no header field of one";
                return Err(MergeError::malformed(text, here, why));
            }
        }
    }
    Ok((fields, range.end..range.end))
}

/// A parameter's value (RFC 2045 5.1).
fn parameter(field: &str, name: &str) -> Option<String> {
    let mut rest = field.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => {
                let mut value = String::new();
                let mut chars = quoted.char_indices();
                let end = loop {
                    match chars.next()? {
                        (at, '"') => break at + 1,
                        (_, '\\') => value.push(chars.next()?.1),
                        (_, c) => value.push(c),
                    }
                };
                (value, quoted.get(end..)?)
            }
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after.get(..end)?.trim().to_owned(), after.get(end..)?)
            }
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return (!value.is_empty()).then_some(value);
        }
        rest = next.split_once(';')?.1;
    }
}

/// The parts between delimiters (RFC 2046 5.1.1). The line end before a delimiter belongs to that.
fn split(
    text: &str,
    body: Range<usize>,
    boundary: String,
) -> Result<(Vec<Range<usize>>, Inside), MergeError> {
    let mut ranges = Vec::new();
    let mut begun: Option<usize> = None;
    let mut at = body.start;
    for line in text.get(body.clone()).unwrap_or_default().split_inclusive('\n') {
        let here = at;
        at += line.len();
        let Some(rest) = line.strip_prefix("--").and_then(|rest| rest.strip_prefix(boundary.as_str())) else {
            continue;
        };
        let (rest, is_close) = rest.strip_prefix("--").map_or((rest, false), |rest| (rest, true));
        if !rest.trim().is_empty() {
            continue;
        }
        if let Some(start) = begun.take() {
            ranges.push(start..before_line_end(text, start, here));
        }
        if is_close {
            let newline =
                if text.get(..here).is_some_and(|before| before.ends_with("\r\n")) { "\r\n" } else { "\n" };
            return Ok((ranges, Inside { close: here, boundary, newline }));
        }
        begun = Some(at);
    }
    let why = format!("the closing line --{boundary}-- is missing: was the end cut off?");
    Err(MergeError::malformed(text, body.end, why))
}

fn before_line_end(text: &str, start: usize, at: usize) -> usize {
    let part = text.get(start..at).unwrap_or_default();
    let part = part.strip_suffix('\n').map_or(part, |part| part.strip_suffix('\r').unwrap_or(part));
    start + part.len()
}
