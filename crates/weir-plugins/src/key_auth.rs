//! `key-auth`: finds out by an API key who sends a request.
//!
//! Phase: access. Fails closed: without a key that is known and still good, the answer is 401. Keys are looked up in
//! memory by a keyed digest, in the same time whether they exist or not.
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
use crate::{config, query};

const NAME: &str = "key-auth";

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
                let kind = BodyKind::of(ctx);
                ctx.body = Some(match kind {
                    Some(BodyKind::Form) => {
                        let text = ctx.body.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                        Bytes::from(query::without(&text, name))
                    }
                    _ => Bytes::from(Value::Object(fields).to_string()),
                });
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
enum BodyKind {
    Form,
    Json,
}

impl BodyKind {
    fn of(ctx: &Ctx<'_>) -> Option<Self> {
        let kind = ctx.headers.get_str("Content-Type")?;
        match kind.split(';').next().unwrap_or_default().trim() {
            "application/x-www-form-urlencoded" => Some(Self::Form),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// The fields of the body, if it has any. A field that a form has twice becomes an array.
fn read_body(ctx: &Ctx<'_>) -> Option<Value> {
    let body = ctx.body.as_deref()?;
    match BodyKind::of(ctx)? {
        BodyKind::Json => serde_json::from_slice::<Value>(body).ok().filter(Value::is_object),
        BodyKind::Form => {
            let mut fields = Map::new();
            for pair in std::str::from_utf8(body).ok()?.split('&') {
                let Some((name, value)) = pair.split_once('=') else { continue };
                let (name, value) = (query::decode(name).into_owned(), json!(query::decode(value)));
                match fields.get_mut(&name) {
                    Some(before) => *before = json!([before.take(), value]),
                    None => drop(fields.insert(name, value)),
                }
            }
            Some(Value::Object(fields))
        }
    }
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

    #[test]
    fn schema_and_type_agree() {
        let kind = KeyAuth(Arc::default());
        test::matches_recording(&kind);
        test::build(&kind, json!({"realm": "a \"b\"", "key_in_body": true}));
        assert!(test::complete(&kind, json!({"key_names": ["a,b"]})).is_err());
    }
}
