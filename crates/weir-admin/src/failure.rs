//! What the Admin API says when it cannot do what it was asked. The codes and texts are Kong's: programs read them.

use http::StatusCode;
use serde_json::{Map, Value, json};
use weir_model::{PageError, Violations, schema};

use crate::respond::{self, Answer};

/// Why a request was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no such thing.
    NotFound,
    /// There is no such entity to change: by which field it was looked for, and under what value.
    NoEntity { field: &'static str, value: String },
    /// Entities of this kind are found by their ids alone, and this is none.
    NoId,
    /// The method is not for this path.
    Method,
    /// The entity would not satisfy its schema.
    Schema(Violations),
    /// A reference by another field than the id leads nowhere.
    Unresolved { field: &'static str, key: &'static str, value: String, entity: &'static str },
    /// An option of the request is no good.
    Option { name: &'static str, why: String },
    /// A page that cannot be given.
    Page(PageError),
    /// The store refused.
    Store(weir_store::Error),
    /// Nothing can be minted.
    Source(schema::SourceError),
    /// Something else, with what to say.
    Plain(StatusCode, String),
}

impl From<schema::Error> for Failure {
    fn from(error: schema::Error) -> Self {
        match error {
            schema::Error::Schema(violations) => Self::Schema(violations),
            schema::Error::Source(error) => Self::Source(error),
        }
    }
}

impl From<weir_store::Error> for Failure {
    fn from(error: weir_store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<PageError> for Failure {
    fn from(error: PageError) -> Self {
        Self::Page(error)
    }
}

impl Failure {
    /// The answer that says so.
    pub(crate) fn answer(self) -> Answer {
        let bad = StatusCode::BAD_REQUEST;
        match self {
            Self::NotFound => respond::not_found(),
            Self::NoId => {
                let why = "expected a valid UUID";
                let say = format!("invalid primary key: '{{id=\"{why}\"}}'");
                coded(bad, 1, "invalid primary key", &say, Some(json!({"id": why})))
            }
            Self::Method => respond::method_not_allowed(),
            Self::Plain(status, text) => respond::message(status, &text),
            Self::NoEntity { field, value } => {
                let pair = lua_pairs(&Map::from_iter([(field.to_owned(), json!(value))]));
                let how = if field == "id" { "entity with primary key" } else { "entity with" };
                let say = format!("could not find the {how} '{{{pair}}}'");
                coded(StatusCode::NOT_FOUND, 6, "not found", &say, Some(json!({field: value})))
            }
            Self::Schema(violations) => {
                coded(bad, 2, "schema violation", &violations.message(), Some(violations.to_json()))
            }
            Self::Unresolved { field, key, value, entity } => {
                let pair = lua_pairs(&Map::from_iter([(key.to_owned(), json!(value))]));
                let why = format!(
                    "the foreign key cannot be resolved with '{{{pair}}}' for an existing '{entity}' entity"
                );
                let say = format!("foreign key unresolved ({field}.{key}: {why})");
                coded(bad, 13, "foreign keys unresolved", &say, Some(json!({field: {key: why}})))
            }
            Self::Option { name, why } => {
                let say = format!("invalid option ({name}: {why})");
                let body =
                    json!({"code": 11, "name": "invalid options", "message": say, "options": {name: why}});
                respond::json_with(bad, &body)
            }
            Self::Page(error) => {
                let (code, name) = match &error {
                    PageError::Size(_) => (9, "invalid size"),
                    PageError::Offset(..) => (7, "invalid offset"),
                };
                coded(bad, code, name, &error.to_string(), None)
            }
            Self::Store(error) => store(error),
            Self::Source(error) => {
                tracing::error!(%error, "the Admin API cannot mint");
                let text = if weir_kernel::is_ready() {
                    "nothing was changed: the kernel's random number generator gives nothing now"
                } else {
                    "nothing was changed: the kernel's random number generator is not ready"
                };
                let mut answer = respond::message(StatusCode::SERVICE_UNAVAILABLE, text);
                answer.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("5"));
                answer
            }
        }
    }
}

fn store(error: weir_store::Error) -> Answer {
    use weir_store::Error;
    let bad = StatusCode::BAD_REQUEST;
    match error {
        Error::Unique(fields) => {
            let say = format!("UNIQUE violation detected on '{{{}}}'", lua_pairs(&fields));
            coded(StatusCode::CONFLICT, 5, "unique constraint violation", &say, Some(Value::Object(fields)))
        }
        Error::PrimaryKey(id) => {
            let say = format!("primary key violation on key '{{id=\"{id}\"}}'");
            coded(bad, 3, "primary key violation", &say, Some(json!({"id": id})))
        }
        Error::Reference { field, entity, id } => {
            let say = format!(
                "the foreign key '{{id=\"{id}\"}}' does not reference an existing '{entity}' entity."
            );
            coded(bad, 4, "foreign key violation", &say, Some(json!({field: {"id": id}})))
        }
        Error::Referenced { by, entity } => {
            let say = format!("an existing '{by}' entity references this '{entity}' entity");
            coded(bad, 4, "foreign key violation", &say, Some(json!({"@referenced_by": by})))
        }
        Error::Full => {
            tracing::error!("the disk is full: nothing can be written");
            respond::message(StatusCode::INSUFFICIENT_STORAGE, "the disk is full: nothing was changed")
        }
        Error::Random(error) => Failure::Source(schema::SourceError(error.into())).answer(),
        error => {
            tracing::error!(error = &error as &dyn std::error::Error, "the store failed");
            respond::message(StatusCode::INTERNAL_SERVER_ERROR, "An unexpected error occurred")
        }
    }
}

fn coded(status: StatusCode, code: u8, name: &str, message: &str, fields: Option<Value>) -> Answer {
    let mut body = json!({"code": code, "name": name, "message": message});
    if let (Some(fields), Value::Object(map)) = (fields, &mut body) {
        map.insert("fields".to_owned(), fields);
    }
    respond::json_with(status, &body)
}

/// Members as Kong writes them in a sentence: `a="b",c={id="d"}`, in order of their names.
fn lua_pairs(fields: &Map<String, Value>) -> String {
    let mut names: Vec<&String> = fields.keys().collect();
    names.sort();
    let pairs: Vec<String> =
        names.into_iter().map(|name| format!("{name}={}", lua_value(&fields[name]))).collect();
    pairs.join(",")
}

fn lua_value(value: &Value) -> String {
    match value {
        Value::Object(map) => format!("{{{}}}", lua_pairs(map)),
        Value::String(text) => format!("\"{text}\""),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_gives_nothing_is_worth_another_try() {
        let failure = Failure::from(weir_store::Error::Random(weir_kernel::Error::NotReady));
        let answer = failure.answer();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()[http::header::RETRY_AFTER], "5");
    }

    #[test]
    fn members_in_a_sentence() {
        let fields = json!({"name": "key-auth", "service": {"id": "1"}, "consumer": null});
        let Value::Object(map) = fields else { panic!("an object") };
        assert_eq!(lua_pairs(&map), "consumer=null,name=\"key-auth\",service={id=\"1\"}");
    }
}
