//! `oauth2`: an authorization server of OAuth 2.0 on the proxy, and the guard that takes its access tokens.
//!
//! Phase: access. Fails closed: without an access token that is known and still good, the answer is 401; when the store
//! fails, no token is issued, and those that exist go on to be good. A request with a token is decided in memory.
//!
//! - `…/oauth2/token` and `…/oauth2/authorize`, below any path of a route that the plugin is on: [`token`], [`authorize`].
//! - Everything else: [`access`].
//!
//! ```yaml
//! plugins:
//! - name: oauth2
//!   config: {enable_client_credentials: true, scopes: [read, write]}
//! ```
//!
//! Absent on purpose: a page that asks users for their consent (the operator's own, see [`authorize`]), and PKCE by
//! "plain", which protects nothing.

mod access;
mod answer;
mod authorize;
mod client;
mod issue;
mod params;
mod pkce;
mod scope;
mod token;

use std::future::Future;
use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use weir_mint::{Secret, Uuid};
use weir_model::schema::{
    Auto, Condition, Conditional, EntityCheck, Rule, array, boolean, number, record, string,
};
use weir_model::{Errors, PluginSchema};
use weir_plugin::{Answer, BuildError, Ctx, Env, Flow, Kind, Phases, Plugin, Resume, Scheme};

use self::answer::{Failure, Refused, challenge};
use self::authorize::Authorization;
use self::params::Params;
use self::token::Exchange;
use crate::auth::{Attempts, Gate};
use crate::config;

const NAME: &str = "oauth2";
const FORM: &str = "application/x-www-form-urlencoded";
const UNKNOWN_REDIRECT_URI: &str =
    "Invalid redirect_uri that does not match with any redirect_uri created with the application";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    scopes: Option<Vec<String>>,
    mandatory_scope: bool,
    provision_key: Secret,
    token_expiration: f64,
    enable_authorization_code: bool,
    enable_implicit_grant: bool,
    enable_client_credentials: bool,
    enable_password_grant: bool,
    hide_credentials: bool,
    accept_http_if_already_terminated: bool,
    anonymous: Option<String>,
    global_credentials: bool,
    auth_header_name: Option<String>,
    refresh_token_ttl: f64,
    reuse_refresh_token: bool,
    pkce: Option<pkce::Required>,
    realm: Option<String>,
}

/// What requests share, those that wait included.
struct Shared {
    config: Config,
    env: Env,
    gate: Gate,
}

struct Instance(Arc<Shared>);

/// The endpoints, by the end of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Authorization,
    Token,
}

impl Endpoint {
    fn of(path: &str) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.ends_with("/oauth2/token") {
            Some(Self::Token)
        } else if path.ends_with("/oauth2/authorize") {
            Some(Self::Authorization)
        } else {
            None
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::Token => "token",
        }
    }
}

impl Shared {
    /// The service that tokens of this request are good for; `None` for every one that takes global credentials.
    fn service(&self, ctx: &Ctx<'_>) -> Option<Uuid> {
        ctx.service.filter(|_| !self.config.global_credentials).map(|service| service.id)
    }

    fn is_provision_key(&self, params: &Params) -> bool {
        let shown = params.get("provision_key");
        shown.is_some_and(|shown| self.config.provision_key.matches(shown.as_bytes()))
    }

    /// Whether nobody could have listened in (RFC 6749, 3.1, 3.2): TLS here, or before a peer that is trusted to say so.
    fn came_by_tls(&self, ctx: &Ctx<'_>) -> bool {
        let told = || {
            self.config.accept_http_if_already_terminated
                && ctx.client.trusted
                && ctx.headers.get("X-Forwarded-Proto").is_some_and(|p| p.eq_ignore_ascii_case(b"https"))
        };
        ctx.client.scheme == Scheme::Https || told()
    }

    /// The parameters of a request to an endpoint, if it may be looked at.
    fn params(&self, ctx: &Ctx<'_>, endpoint: Endpoint) -> Result<Params, Failure> {
        if ctx.method != Method::POST {
            let (method, endpoint) = (&ctx.method, endpoint.describe());
            let description = format!("The HTTP method {method} is invalid for the {endpoint} endpoint");
            let attributes = [("error", "invalid_method"), ("error_description", &description)];
            let challenge = challenge("Bearer", self.config.realm.as_deref(), &attributes);
            let refused = Refused::new("invalid_method", description).status(StatusCode::METHOD_NOT_ALLOWED);
            return Err(refused.challenge(challenge).into());
        }
        if !self.came_by_tls(ctx) {
            return Err(Refused::new("access_denied", "You must use HTTPS").into());
        }
        let too_large = || {
            let refused = Refused::new("invalid_request", "The request's body is too large");
            Failure::Refused(refused.status(StatusCode::PAYLOAD_TOO_LARGE))
        };
        let body = ctx.body.as_deref().ok_or_else(too_large)?;
        let params = Params::read(ctx.query(), ctx.headers.get_str("Content-Type"), body);
        params.map_err(|bad| Refused::new("invalid_request", bad.describe()).into())
    }

    fn respond(self: &Arc<Self>, ctx: &mut Ctx<'_>, endpoint: Endpoint) -> Result<Flow, Failure> {
        let params = self.params(ctx, endpoint)?;
        if !weir_kernel::is_ready() {
            return Err(Failure::NotReady);
        }
        Ok(match endpoint {
            Endpoint::Token => self.wait_for(Exchange::new(self, ctx, params)?.run()),
            Endpoint::Authorization => self.wait_for(Authorization::new(self, ctx, params)?.run()),
        })
    }

    fn wait_for(self: &Arc<Self>, answer: impl Future<Output = Result<Answer, Failure>> + 'static) -> Flow {
        let shared = Arc::clone(self);
        Flow::Wait(Box::pin(async move {
            let answer = answer.await;
            let resume: Resume = Box::new(move |ctx| match answer {
                Ok(answer) => answer.into(),
                Err(failure) => shared.fail(ctx, &failure),
            });
            resume
        }))
    }

    fn fail(&self, ctx: &Ctx<'_>, failure: &Failure) -> Flow {
        if let Failure::Refused(refused) = failure
            && refused.guess
        {
            self.gate.failed(ctx);
        }
        failure.answer().into()
    }
}

impl Plugin for Instance {
    fn phases(&self) -> Phases {
        Phases { access: true, body: true, ..Phases::default() }
    }

    fn reads_body(&self, ctx: &Ctx<'_>) -> bool {
        let writes = matches!(ctx.method, Method::POST | Method::PUT | Method::PATCH);
        writes && (Endpoint::of(ctx.path()).is_some() || access::is_form(ctx))
    }

    fn access(&self, ctx: &mut Ctx<'_>) -> Flow {
        let shared = &self.0;
        let Some(endpoint) = Endpoint::of(ctx.path()) else {
            Shared::disown(ctx);
            return match shared.gate.before(ctx) {
                Some(flow) => flow,
                None => match shared.authenticate(ctx) {
                    Ok(()) => Flow::Continue,
                    Err(refusal) => shared.gate.refuse(ctx, refusal),
                },
            };
        };
        if let Some(flow) = shared.gate.locked_out(ctx) {
            return flow;
        }
        shared.respond(ctx, endpoint).unwrap_or_else(|failure| shared.fail(ctx, &failure))
    }
}

fn wrong_provision_key() -> Refused {
    Refused::new("invalid_provision_key", "Invalid provision_key").guess()
}

fn missing_userid() -> Refused {
    Refused::new("invalid_authenticated_userid", "Missing authenticated_userid parameter")
}

/// The grants, of which one must be enabled.
const GRANTS: [&str; 4] = [
    "enable_authorization_code",
    "enable_implicit_grant",
    "enable_client_credentials",
    "enable_password_grant",
];

fn grants_something(config: &Value) -> Result<(), Errors> {
    if GRANTS.iter().any(|grant| config.get(grant) == Some(&Value::Bool(true))) {
        return Ok(());
    }
    Err(format!("at least one of these fields must be true: {}", GRANTS.join(", ")).into())
}

/// The kind of plugin.
pub(crate) struct OAuth2(pub(crate) Arc<Attempts>);

impl Kind for OAuth2 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        1400
    }

    fn schema(&self) -> PluginSchema {
        let flag = || boolean().required().default(false);
        let provision_key = string().required().unique().auto(Auto::Token).secret().show("encrypted", true);
        let config = record([
            ("scopes", array(string())),
            ("mandatory_scope", flag()),
            ("provision_key", provision_key),
            ("token_expiration", number().required().default(7200)),
            ("enable_authorization_code", flag()),
            ("enable_implicit_grant", flag()),
            ("enable_client_credentials", flag()),
            ("enable_password_grant", flag()),
            ("hide_credentials", flag()),
            ("accept_http_if_already_terminated", flag()),
            ("anonymous", string()),
            ("global_credentials", flag()),
            ("auth_header_name", string().default("authorization")),
            ("refresh_token_ttl", number().required().default(1_209_600).between(0, 100_000_000)),
            ("reuse_refresh_token", flag()),
            ("pkce", string().optional().default("lax").one_of(["none", "lax", "strict"])),
            ("realm", string().optional()),
        ]);
        let scopes_if_mandatory = Conditional {
            if_field: "mandatory_scope",
            if_match: Condition::rule(Rule::Eq(json!(true))),
            then_field: "scopes",
            then_match: Condition::required(Vec::new()),
            then_err: None,
        };
        let config = config.checks([EntityCheck::Conditional(scopes_if_mandatory)]).check(grants_something);
        PluginSchema::http(NAME, config).no_consumer()
    }

    fn build(&self, config: &Value, env: &Env) -> Result<Arc<dyn Plugin>, BuildError> {
        let config: Config = config::read(NAME, config)?;
        let gate = Gate::new(NAME, env.id, config.anonymous.clone(), true, &self.0);
        Ok(Arc::new(Instance(Arc::new(Shared { config, env: env.clone(), gate }))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test;

    #[test]
    fn schema_and_type_agree() {
        let kind = OAuth2(Arc::default());
        test::matches_recording(&kind);
        test::build(&kind, json!({"enable_password_grant": true, "pkce": "strict", "realm": "a"}));
        let minted = test::complete(&kind, json!({"enable_password_grant": true})).unwrap();
        assert_eq!(minted["provision_key"], "token");
        assert!(
            test::complete(&kind, json!({}))
                .unwrap_err()
                .contains("at least one of these fields must be true")
        );
    }

    #[test]
    fn endpoints_are_ends_of_paths() {
        for (path, endpoint) in [
            ("/oauth2/token", Some(Endpoint::Token)),
            ("/a/b/oauth2/token/", Some(Endpoint::Token)),
            ("/oauth2/authorize", Some(Endpoint::Authorization)),
            ("/oauth2/token/x", None),
            ("/oauth2/tokens", None),
            ("/x-oauth2/token", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(Endpoint::of(path), endpoint, "{path}");
        }
    }
}
