//! JSON objects of which few members are looked at: the rest is checked and skipped, not built.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use smallvec::SmallVec;

use super::Error;

/// So many members at most: names are compared with each other.
const MAX_MEMBERS: usize = 256;

/// The members of a JSON object, no name twice, in their order.
#[derive(Debug)]
pub struct Members<'a> {
    json: &'a [u8],
    list: List<'a>,
}

type List<'a> = SmallVec<[(Cow<'a, str>, Member<'a>); 8]>;

/// What a member is, as far as it is looked at.
#[derive(Debug)]
enum Member<'a> {
    Text(Cow<'a, str>),
    Number(f64),
    Other,
}

impl<'a> Members<'a> {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// [`Error::Json`], for too many members as well.
    pub fn parse(json: &'a [u8]) -> Result<Self, Error> {
        let Object(list) = serde_json::from_slice(json).map_err(|_| Error::Json)?;
        Ok(Self { json, list })
    }

    /// Whether there is a member of this name, even if it is null.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A member that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Member::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A member that is a number, as a date of RFC 7519 (2) is.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Member::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// All members, read once more and built.
    ///
    /// # Errors
    /// [`Error::Json`] when they are nested too deeply.
    pub fn build(&self) -> Result<Map<String, Value>, Error> {
        serde_json::from_slice(self.json).map_err(|_| Error::Json)
    }

    fn get(&self, name: &str) -> Option<&Member<'a>> {
        self.list.iter().find(|(known, _)| known == name).map(|(_, member)| member)
    }
}

struct Object<'a>(List<'a>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut list = List::new();
                while let Some(Name(name)) = map.next_key()? {
                    if list.len() == MAX_MEMBERS || list.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom("too many members, or one twice"));
                    }
                    list.push((name, map.next_value()?));
                }
                Ok(Object(list))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

impl<'de> Deserialize<'de> for Member<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Member<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Member::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Member::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Member::Number(number as f64))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Member::Number(number as f64))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Member::Number(number))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Member::Other)
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Member::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Member::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Member::Other)
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// A text that is borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_by_their_kind() {
        let json = br#" {"a":"x\n","n":-1.5,"big":1e300,"o":{"b":[1]},"z":null,"s":"1","t":[true]} "#;
        let members = Members::parse(json).unwrap();
        assert_eq!(members.text("a"), Some("x\n"));
        assert_eq!((members.text("n"), members.text("none")), (None, None));
        assert_eq!((members.number("n"), members.number("big")), (Some(-1.5), Some(1e300)));
        assert_eq!((members.number("s"), members.number("z"), members.number("o")), (None, None, None));
        assert!(members.contains("z") && !members.contains("y"));
        assert_eq!(members.build().unwrap()["o"], serde_json::json!({"b": [1]}));
    }

    #[test]
    fn the_work_is_bounded() {
        let object = |count: usize| {
            let members: Vec<String> = (0..count).map(|n| format!("\"{n}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(Members::parse(object(MAX_MEMBERS).as_bytes()).is_ok());
        assert!(Members::parse(object(MAX_MEMBERS + 1).as_bytes()).is_err());
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
        assert!(Members::parse(deep.as_bytes()).is_ok_and(|members| members.build().is_err()));
        assert!(Members::parse(br#"{"exp":1e999}"#).is_err());
    }
}
