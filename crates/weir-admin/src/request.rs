//! A request to the Admin API, in parts.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;
use weir_store::Actor;

/// A request, read as a whole.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Who asks, as far as that is known.
    pub(crate) caller: Arc<str>,
}

/// Why a path is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadPath {
    /// It leads nowhere, however its parts are read.
    Nowhere,
    /// It holds a NUL.
    Nul,
    /// Its last part is no text: where it stops being one, from one.
    NotText(usize),
}

impl Request {
    /// On whose behalf the request changes something.
    pub(crate) fn actor(&self) -> Actor {
        Actor::Operator(self.caller.to_string())
    }

    /// The decoded parts of the path. A slash at the end does not count.
    pub(crate) fn segments(&self) -> Result<Vec<String>, BadPath> {
        let path = self.uri.path();
        let path = path.strip_prefix('/').ok_or(BadPath::Nowhere)?;
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.is_empty() {
            return Ok(Vec::new());
        }
        path.split('/')
            .map(|part| {
                if part.is_empty() || part == ".." || part == "." {
                    return Err(BadPath::Nowhere);
                }
                let bytes: Vec<u8> = percent_decode_str(part).collect();
                if bytes.contains(&0) {
                    return Err(BadPath::Nul);
                }
                String::from_utf8(bytes)
                    .map_err(|error| BadPath::NotText(error.utf8_error().valid_up_to() + 1))
            })
            .collect()
    }

    /// The first value of an argument in the query.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        self.uri.query()?.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key) == name).then(|| decode(value))
        })
    }

    /// A header field, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str) -> Request {
        Request {
            method: Method::GET,
            uri: uri.parse().unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            caller: "a test".into(),
        }
    }

    #[test]
    fn paths() {
        let segments = |uri: &str| request(uri).segments();
        assert_eq!(segments("/").unwrap(), Vec::<String>::new());
        assert_eq!(segments("/consumers/a%20b%2Fc/").unwrap(), ["consumers", "a b/c"]);
        assert_eq!(segments("/services//x"), Err(BadPath::Nowhere));
        assert_eq!(segments("/routes/../services"), Err(BadPath::Nowhere));
        assert_eq!(segments("/tags/a%00b"), Err(BadPath::Nul));
        assert_eq!(segments("/tags/%FF"), Err(BadPath::NotText(1)));
    }

    #[test]
    fn queries() {
        let request = request("/services?size=3&tags=a%2Cb+c&empty=&bare");
        assert_eq!(request.query("tags").as_deref(), Some("a,b c"));
        assert_eq!(request.query("empty").as_deref(), Some(""));
        assert_eq!(request.query("bare").as_deref(), Some(""));
        assert_eq!(request.query("none"), None);
    }
}
