//! `key-auth`: finds out by an API key who sends a request.
//!
//! Phase: access. Fails closed: without a key that is known and still good, the answer is 401. Keys are looked up in
//! memory by a keyed digest; how long that takes says nothing about how good a guess was.
//!
//! ```yaml
//! plugins:
//! - name: key-auth
//!   config: {key_names: [apikey], hide_credentials: true}
//! ```

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use weir_model::PluginSchema;
use weir_model::schema::{array, boolean, record, string, types};
use weir_plugin::{Answer, BuildError, Ctx, Env, Flow, Kind, Phases, Plugin};

use crate::auth::{Attempts, Gate, Refusal, challenge};
use crate::{config, multipart, query};

const NAME: &str = "key-auth";
/// What is longer in a form is no key.
const MAX_KEY: usize = 64 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    key_names: Vec<String>,
    hide_credentials: bool,
    anonymous: Option<String>,
    key_in_header: bool,
    key_in_query: bool,
    key_in_body: bool,
    run_on_preflight: bool,
    realm: Option<String>,
}

struct Instance {
    gate: Gate,
    config: Config,
    challenge: String,
}

/// Where a key was found.
enum Place {
    Header,
    Query,
    Body,
}

/// What was found under one name.
enum Found<'a> {
    Nothing,
    Key(Cow<'a, [u8]>, Place),
    Several,
}

impl Instance {
    fn unauthorized(&self, message: &'static str) -> Answer {
        Answer::message(StatusCode::UNAUTHORIZED, message).header("WWW-Authenticate", &self.challenge)
    }

    /// The key that the request shows, under which name and where, or why it is refused.
    fn key<'s: 'r, 'r>(
        &'s self,
        ctx: &'r Ctx<'_>,
        body: Option<&'r Value>,
    ) -> Result<(Cow<'r, [u8]>, &'s str, Place), Refusal> {
        for name in &self.config.key_names {
            match self.find(ctx, body, name) {
                Found::Nothing => {}
                Found::Key(key, place) => return Ok((key, name, place)),
                Found::Several => return Err(Refusal::Wrong(self.unauthorized("Duplicate API key found"))),
            }
        }
        Err(Refusal::Missing(self.unauthorized("No API key found in request")))
    }

    fn find<'r>(&self, ctx: &'r Ctx<'_>, body: Option<&'r Value>, name: &'r str) -> Found<'r> {
        if self.config.key_in_header {
            match one(ctx.headers.get_all(name).map(Cow::Borrowed), Place::Header) {
                Found::Nothing => {}
                found => return found,
            }
        }
        if self.config.key_in_query
            && let Some(query) = ctx.query()
        {
            let values = query::values(query, name).map(|value| match value {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            });
            match one(values, Place::Query) {
                Found::Nothing => {}
                found => return found,
            }
        }
        match body.and_then(|body| body.get(name)) {
            Some(Value::String(key)) if !key.is_empty() => Found::Key(key.as_bytes().into(), Place::Body),
            Some(Value::Array(_)) => Found::Several,
            _ => Found::Nothing,
        }
    }

    /// Takes the key out of what goes on to the service.
    fn hide(ctx: &mut Ctx<'_>, name: &str, place: &Place, body: Option<Value>) {
        match place {
            Place::Header => drop(ctx.headers.remove(name)),
            Place::Query => {
                let Some((path, query)) = ctx.upstream_target.split_once('?') else { return };
                let rest = query::without(query, name);
                ctx.upstream_target =
                    if rest.is_empty() { path.to_owned() } else { format!("{path}?{rest}") };
            }
            Place::Body => {
                let Some(Value::Object(mut fields)) = body else { return };
                fields.shift_remove(name);
                let before = ctx.body.as_deref().unwrap_or_default();
                let after = match BodyKind::of(ctx) {
                    Some(BodyKind::Form) => {
                        query::without(&String::from_utf8_lossy(before), name).into_bytes()
                    }
                    Some(BodyKind::Multipart(boundary)) => {
                        multipart::without(before, boundary, name).unwrap_or_default()
                    }
                    _ => Value::Object(fields).to_string().into_bytes(),
                };
                ctx.body = Some(Bytes::from(after));
            }
        }
    }

    fn authenticate(&self, ctx: &mut Ctx<'_>) -> Result<(), Refusal> {
        let body = if self.config.key_in_body { read_body(ctx) } else { None };
        let (key, name, place) = self.key(ctx, body.as_ref())?;
        let directory = ctx.directory;
        let credential = directory.key(&key);
        drop(key);
        // A key that nobody has is hidden as well: it may be another service's.
        if self.config.hide_credentials {
            Self::hide(ctx, name, &place, body);
        }
        let wrong = || Refusal::Wrong(self.unauthorized("Unauthorized"));
        let credential = credential.ok_or_else(wrong)?;
        // A key without its consumer can only be seen while both are being deleted.
        let consumer = directory.consumer(&credential.consumer).ok_or_else(wrong)?;
        ctx.authenticate(consumer, Some(credential));
        Ok(())
    }
}

impl Plugin for Instance {
    fn phases(&self) -> Phases {
        Phases { access: true, body: self.config.key_in_body, ..Phases::default() }
    }

    fn access(&self, ctx: &mut Ctx<'_>) -> Flow {
        if let Some(flow) = self.gate.before(ctx) {
            return flow;
        }
        match self.authenticate(ctx) {
            Ok(()) => Flow::Continue,
            Err(refusal) => self.gate.refuse(ctx, refusal),
        }
    }
}

/// The one value that is not empty.
fn one<'a>(values: impl Iterator<Item = Cow<'a, [u8]>>, place: Place) -> Found<'a> {
    let mut values = values.filter(|value| !value.is_empty());
    match (values.next(), values.next()) {
        (None, _) => Found::Nothing,
        (Some(key), None) => Found::Key(key, place),
        (Some(_), Some(_)) => Found::Several,
    }
}

/// The kinds of bodies that fields can be read of.
enum BodyKind<'a> {
    Form,
    /// A form in parts, with this boundary between them.
    Multipart(&'a str),
    Json,
}

impl<'a> BodyKind<'a> {
    fn of(ctx: &'a Ctx<'_>) -> Option<Self> {
        let kind = ctx.headers.get_str("Content-Type")?;
        match kind.split(';').next().unwrap_or_default().trim() {
            "application/x-www-form-urlencoded" => Some(Self::Form),
            "application/json" => Some(Self::Json),
            _ => multipart::boundary(kind).map(Self::Multipart),
        }
    }
}

/// The fields of the body, if it has any. A field that a form has several times becomes an empty array.
fn read_body(ctx: &Ctx<'_>) -> Option<Value> {
    let body = ctx.body.as_deref()?;
    match BodyKind::of(ctx)? {
        BodyKind::Json => serde_json::from_slice::<Value>(body).ok().filter(Value::is_object),
        BodyKind::Form => {
            let pairs = std::str::from_utf8(body).ok()?.split('&').filter_map(|pair| pair.split_once('='));
            Some(gather(pairs.map(|(name, value)| (query::decode(name), query::decode(value)))))
        }
        BodyKind::Multipart(boundary) => {
            let fields = multipart::fields(body, boundary)?;
            let texts = fields
                .iter()
                .filter(|field| field.value.len() <= MAX_KEY)
                .filter_map(|field| Some((field.name.into(), std::str::from_utf8(field.value).ok()?.into())));
            Some(gather(texts))
        }
    }
}

fn gather<'a>(pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>) -> Value {
    let mut fields = Map::new();
    for (name, value) in pairs {
        match fields.get_mut(&*name) {
            // That there are several is all that is asked, and nothing may nest as deep as a client likes.
            Some(before) => *before = Value::Array(Vec::new()),
            None => drop(fields.insert(name.into_owned(), value.into())),
        }
    }
    Value::Object(fields)
}

/// The kind of plugin.
pub(crate) struct KeyAuth(pub(crate) Arc<Attempts>);

impl Kind for KeyAuth {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        1250
    }

    fn schema(&self) -> PluginSchema {
        let config = record([
            ("key_names", array(types::header_name()).required().default(json!(["apikey"]))),
            ("hide_credentials", boolean().required().default(false)),
            ("anonymous", string()),
            ("key_in_header", boolean().required().default(true)),
            ("key_in_query", boolean().required().default(true)),
            ("key_in_body", boolean().required().default(false)),
            ("run_on_preflight", boolean().required().default(true)),
            ("realm", string().optional()),
        ]);
        PluginSchema::http(NAME, config).no_consumer()
    }

    fn build(&self, config: &Value, env: &Env) -> Result<Arc<dyn Plugin>, BuildError> {
        let config: Config = config::read(NAME, config)?;
        let anonymous = config.anonymous.clone();
        let gate = Gate::new(NAME, env.id, anonymous, config.run_on_preflight, &self.0);
        let challenge = challenge("Key", config.realm.as_deref());
        Ok(Arc::new(Instance { gate, config, challenge }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test;
    use crate::fixture::{self, ALICE, Became, Known, Request};

    #[test]
    fn schema_and_type_agree() {
        let kind = KeyAuth(Arc::default());
        test::matches_recording(&kind);
        test::build(&kind, json!({"realm": "a \"b\"", "key_in_body": true}));
        assert!(test::complete(&kind, json!({"key_names": ["a,b"]})).is_err());
    }

    #[test]
    fn a_field_that_is_there_very_often_is_there_several_times() {
        let fields =
            gather((0..1_000_000).map(|_| ("a".into(), "1".into())).chain([("b".into(), "2".into())]));
        assert_eq!(fields, json!({"a": [], "b": "2"}));
    }

    #[test]
    fn a_key_in_a_form_of_parts_is_found_and_hidden() {
        let plugin = test::build(
            &KeyAuth(Arc::default()),
            json!({"key_in_body": true, "hide_credentials": true, "key_in_header": false, "key_in_query": false}),
        );
        let part = |name: &str, value: &str| {
            format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let (key, other) = (part("apikey", "k"), part("other", "1"));
        let access = |body: &str, after: &str| {
            let headers = [("Content-Type", "multipart/form-data; boundary=edge")];
            let request = Request { headers: &headers, body: Some(body.as_bytes()), ..Request::default() };
            fixture::access(&*plugin, &Known::default(), &request, |ctx| {
                assert_eq!(ctx.body.as_deref(), Some(after.as_bytes()));
            })
        };
        let rest = format!("{other}--edge--\r\n");
        assert_eq!(access(&format!("{key}{rest}"), &rest), Became::Of(ALICE));
        let wrong = part("apikey", "wrong");
        let refused = |text: &str| Became::Answered(401, text.to_owned());
        assert_eq!(access(&format!("{wrong}{rest}"), &rest), refused("Unauthorized"));
        let twice = format!("{key}{key}{rest}");
        assert_eq!(access(&twice, &twice), refused("Duplicate API key found"));
        let broken = format!("{key}--edge");
        assert_eq!(access(&broken, &broken), refused("No API key found in request"));
    }
}
