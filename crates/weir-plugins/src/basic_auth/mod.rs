//! `basic-auth`: finds out by a username and a password who sends a request.
//!
//! Phase: access. Fails closed: without a password that is right, the answer is 401; when more passwords wait to be
//! verified than can be soon, it is 503. Passwords are verified on threads of their own, and what was right is remembered
//! ([`verifier`]).
//!
//! Whoever guesses learns nothing from the time an answer takes: a username that nobody has is verified against a hash
//! that no password has. (While a password is being rotated, a wrong one is held against both hashes.)
//!
//! A hash that Kong made, or one that costs less than those of today, is replaced after the next success, in the
//! background. Where that fails, the old one stays in force and the log says so.
//!
//! ```yaml
//! plugins:
//! - name: basic-auth
//!   config: {hide_credentials: true, realm: internal}
//! ```

mod verifier;

use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use weir_model::PluginSchema;
use weir_model::schema::{boolean, record, string};
use weir_model::typed::BasicCredential;
use weir_plugin::{
    Answer, BuildError, Credential, Ctx, Env, Flow, Kept, Kind, Phases, Plugin, Records, Resume,
};

use self::verifier::{Outcome, Verifier};
use crate::auth::{Attempts, Gate, Refusal, challenge};
use crate::authorization::{self, UserPass};
use crate::config;

const NAME: &str = "basic-auth";
const FIELDS: [&str; 2] = ["Proxy-Authorization", "Authorization"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    anonymous: Option<String>,
    hide_credentials: bool,
    realm: String,
}

struct Instance(Arc<Shared>);

/// What an instance is, and what waits for a password to be verified holds on to.
struct Shared {
    gate: Gate,
    hide_credentials: bool,
    challenge: String,
    verifier: Arc<Verifier>,
    records: Arc<dyn Records>,
}

impl Shared {
    fn unauthorized(&self) -> Answer {
        Answer::message(StatusCode::UNAUTHORIZED, "Unauthorized").header("WWW-Authenticate", &self.challenge)
    }

    /// The password is right.
    fn welcome(&self, ctx: &mut Ctx<'_>, credential: &BasicCredential) -> Flow {
        // A password without its consumer can only be seen while both are being deleted.
        let Some(consumer) = ctx.directory.consumer(&credential.consumer) else {
            return self.gate.refuse(ctx, Refusal::Wrong(self.unauthorized()));
        };
        ctx.authenticate(consumer, Some(Credential { id: credential.id, consumer: consumer.id }));
        ctx.headers.set("X-Credential-Identifier", credential.username.as_bytes());
        Flow::Continue
    }

    /// What follows from a password that was verified.
    fn conclude(
        &self,
        ctx: &mut Ctx<'_>,
        outcome: Outcome,
        credential: Option<&Kept<BasicCredential>>,
    ) -> Flow {
        // Of many guesses at once, some have failed while this one waited: whom they locked out is not told the rest.
        if outcome != Outcome::Busy
            && let Some(flow) = self.gate.locked_out(ctx)
        {
            return flow;
        }
        match (outcome, credential) {
            (Outcome::Right, Some(credential)) => self.welcome(ctx, credential),
            (Outcome::Right | Outcome::Wrong, _) => {
                self.gate.refuse(ctx, Refusal::Wrong(self.unauthorized()))
            }
            (Outcome::Busy, _) => {
                let answer = Answer::message(StatusCode::SERVICE_UNAVAILABLE, "Too many passwords to verify");
                self.gate.refuse(ctx, Refusal::Unknown(answer.header("Retry-After", "2")))
            }
        }
    }

    /// Waits for the password to be verified.
    fn wait(
        self: Arc<Self>,
        credential: Option<Arc<Kept<BasicCredential>>>,
        shown: UserPass,
        previous_counts: bool,
    ) -> Flow {
        Flow::Wait(Box::pin(async move {
            let outcome =
                self.verifier.verify(credential.clone(), shown, previous_counts, &self.records).await;
            let resume: Resume = Box::new(move |ctx| self.conclude(ctx, outcome, credential.as_deref()));
            resume
        }))
    }
}

impl Plugin for Instance {
    fn phases(&self) -> Phases {
        Phases { access: true, ..Phases::default() }
    }

    fn access(&self, ctx: &mut Ctx<'_>) -> Flow {
        let shared = &self.0;
        if let Some(flow) = shared.gate.before(ctx) {
            return flow;
        }
        let shown = FIELDS.into_iter().find_map(|field| {
            let shown = ctx.headers.get(field).and_then(authorization::basic)?;
            Some((field, shown))
        });
        let Some((field, shown)) = shown else {
            return shared.gate.refuse(ctx, Refusal::Missing(shared.unauthorized()));
        };
        // A password that is wrong is hidden as well: it may be another service's.
        if shared.hide_credentials {
            ctx.headers.remove(field);
        }
        let directory = ctx.directory;
        let credential = directory.basic(shown.username());
        let now = ctx.started_ms as i64;
        let previous_counts = credential.is_some_and(|credential| {
            credential.previous.as_ref().is_some_and(|previous| previous.until_ms > now)
        });
        match credential {
            Some(known) if shared.verifier.remembers(known, shown.password(), previous_counts) => {
                shared.welcome(ctx, known)
            }
            _ => Arc::clone(shared).wait(credential.cloned(), shown, previous_counts),
        }
    }
}

/// The kind of plugin.
pub(crate) struct BasicAuth {
    attempts: Arc<Attempts>,
    verifier: Arc<Verifier>,
}

impl BasicAuth {
    pub(crate) fn new(attempts: Arc<Attempts>) -> Self {
        Self { attempts, verifier: Arc::default() }
    }
}

impl Kind for BasicAuth {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        1100
    }

    fn schema(&self) -> PluginSchema {
        let config = record([
            ("anonymous", string()),
            ("hide_credentials", boolean().required().default(false)),
            ("realm", string().required().default("service")),
        ]);
        PluginSchema::http(NAME, config).no_consumer()
    }

    fn build(&self, config: &Value, env: &Env) -> Result<Arc<dyn Plugin>, BuildError> {
        let config: Config = config::read(NAME, config)?;
        let gate = Gate::new(NAME, env.id, config.anonymous, true, &self.attempts);
        Ok(Arc::new(Instance(Arc::new(Shared {
            gate,
            hide_credentials: config.hide_credentials,
            challenge: challenge("Basic", Some(&config.realm)),
            verifier: Arc::clone(&self.verifier),
            records: Arc::clone(&env.records),
        }))))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::test;

    #[test]
    fn schema_and_type_agree() {
        let kind = BasicAuth::new(Arc::default());
        test::matches_recording(&kind);
        test::build(&kind, json!({"realm": "a \"b\"", "anonymous": "x"}));
    }
}
