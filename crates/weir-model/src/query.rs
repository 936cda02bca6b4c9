//! What a listing asks for: pages and tags, as the Admin API's query strings write them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Members on a page where the client does not say.
const DEFAULT_SIZE: usize = 100;
/// The most that a client may ask for.
const MAX_SIZE: usize = 1000;
/// The most tags that one query may name.
const MAX_TAGS: usize = 5;

/// Which part of a collection is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// At most so many members.
    pub size: usize,
    /// Those after this key, if any.
    pub after: Option<String>,
}

/// What is wrong with a query for a page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// The size is no number or out of range.
    #[error("{0}")]
    Size(&'static str),
    /// The offset is not one that an answer gave.
    #[error("'{0}' is not a valid offset: {1}")]
    Offset(String, &'static str),
}

impl Page {
    /// Reads `size` and `offset` as they stand in a query string.
    ///
    /// # Errors
    /// When one of them is no good.
    pub fn parse(size: Option<&str>, offset: Option<&str>) -> Result<Self, PageError> {
        let size = match size {
            None => DEFAULT_SIZE,
            Some(text) => {
                let number: f64 = text.parse().map_err(|_| PageError::Size("size must be a number"))?;
                let whole = number.fract() == 0.0 && (1.0..=MAX_SIZE as f64).contains(&number);
                if !whole {
                    return Err(PageError::Size("size must be an integer between 1 and 1000"));
                }
                number as usize
            }
        };
        Ok(Self { size, after: offset.map(decode_offset).transpose()? })
    }
}

/// The offset of what comes after this key.
pub fn encode_offset(key: &str) -> String {
    STANDARD.encode(json!([key]).to_string())
}

fn decode_offset(text: &str) -> Result<String, PageError> {
    let wrong = |why| PageError::Offset(text.to_owned(), why);
    let bytes = STANDARD.decode(text).map_err(|_| wrong("bad base64 encoding"))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|_| wrong("bad json encoding"))?;
    match value.get(0).and_then(Value::as_str) {
        Some(key) => Ok(key.to_owned()),
        None => Err(wrong("invalid key")),
    }
}

/// Which tags are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// All of these.
    All(Vec<String>),
    /// Any of these.
    Any(Vec<String>),
}

impl Tags {
    /// Reads `a,b` (all) or `a/b` (any).
    ///
    /// # Errors
    /// What is wrong, in Kong's words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mixed = text.contains(',') && text.contains('/');
        if mixed || text.bytes().any(|b| b.is_ascii_control()) {
            return Err("invalid filter syntax".to_owned());
        }
        let separator = if text.contains('/') { '/' } else { ',' };
        let list: Vec<String> =
            text.split(separator).filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
        if list.len() > MAX_TAGS {
            return Err("cannot query more than 5 tags".to_owned());
        }
        Ok(if separator == '/' { Self::Any(list) } else { Self::All(list) })
    }
}
