//! `session`: remembers in a cookie whom another plugin found a client to be.
//!
//! Phases: access, before the other authentication plugins: a session that is good settles who the request is from, and
//! those of them that have `anonymous` step aside; header_filter: a client that was authenticated gets a session. It
//! refuses nobody. What is no session that is good counts for nothing, and when no id can be minted or the store fails,
//! the client has to authenticate again.
//!
//! A session survives its credential, and ends with its consumer.
//!
//! ```yaml
//! plugins:
//! - name: session
//!   config: {storage: cookie, cookie_same_site: Lax}
//! - name: key-auth
//!   config: {anonymous: guest}
//! ```
//!
//! - [`ticket`]: what a cookie holds and how long it is good; [`seal`]: how that is kept secret; [`store`]: `storage: kong`.

mod cookie;
mod schema;
mod seal;
mod store;
mod ticket;

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;
use weir_mint::Uuid;
use weir_model::PluginSchema;
use weir_plugin::{Answer, BuildError, Ctx, Env, Flow, Headers, Kind, Phases, Plugin, Resume};

use self::cookie::Attributes;
use self::schema::{Config, Storage, Tells};
use self::seal::Seal;
pub use self::store::Pending;
use self::store::{Found, Store};
use self::ticket::{Standing, Ticket, Timeouts, Who, ms};
use crate::{config, query};

const NAME: &str = "session";
const FORM: &str = "application/x-www-form-urlencoded";

struct Instance {
    config: Config,
    seal: Seal,
    attributes: Attributes,
    /// The cookie of a session, and the one by which a browser is remembered after its session.
    cookies: Cookies,
    /// Where sessions are kept, if it is not the cookie.
    store: Option<Store>,
}

struct Cookies {
    session: Cookie,
    remember: Option<Cookie>,
}

/// One of the two cookies.
struct Cookie {
    name: String,
    timeouts: Timeouts,
    /// Whether a browser keeps it when it is closed.
    persistent: bool,
}

/// What a request's cookie stands for.
struct Open {
    ticket: Ticket,
    who: Who,
    /// Its primary key in the store.
    record: Option<Uuid>,
    stale: bool,
    standing: Standing,
    remembered: bool,
}

impl Open {
    /// As the store knows it.
    fn stored(&self) -> Option<Found> {
        let record = self.record.filter(|_| !self.stale)?;
        Some(Found { who: self.who.clone(), record, stale: false })
    }
}

impl Instance {
    /// The session that a request belongs to.
    fn open(&self, ctx: &Ctx<'_>) -> Option<Open> {
        let session = self.open_by(ctx, &self.cookies.session);
        session.or_else(|| {
            let open = self.open_by(ctx, self.cookies.remember.as_ref()?)?;
            Some(Open { remembered: true, ..open })
        })
    }

    fn open_by(&self, ctx: &Ctx<'_>, cookie: &Cookie) -> Option<Open> {
        let now = now_ms(ctx);
        cookie::values(ctx.headers.get_all("Cookie"), &cookie.name).find_map(|value| {
            let text = self.seal.open(&cookie.name, value)?;
            let mut ticket: Ticket = serde_json::from_slice(&text).ok()?;
            let standing = cookie.timeouts.standing(&ticket, now);
            if standing == Standing::Ended {
                return None;
            }
            let (who, record, stale) = match (&self.store, ticket.who.take()) {
                (None, Some(who)) => (who, None, false),
                (Some(store), None) => {
                    let found = store.find(ctx, &ticket.id, now)?;
                    (found.who, Some(found.record), found.stale)
                }
                // Written while the storage was another.
                _ => return None,
            };
            Some(Open { ticket, who, record, stale, standing, remembered: false })
        })
    }

    /// Whether a request asks to end its session.
    fn is_logout(&self, ctx: &Ctx<'_>) -> bool {
        if !self.is_logout_method(&ctx.method) {
            return false;
        }
        let by_query = |arg: &String| ctx.query().is_some_and(|query| query::contains(query, arg));
        let by_body = |arg: &String| {
            let Some(body) = ctx.body.as_deref() else { return false };
            match media_type(ctx) {
                Some(FORM) => std::str::from_utf8(body).is_ok_and(|form| query::contains(form, arg)),
                Some("application/json") => {
                    let fields = serde_json::from_slice::<Value>(body).ok();
                    fields.and_then(|fields| fields.get(arg).map(|value| !value.is_null())).unwrap_or(false)
                }
                _ => false,
            }
        };
        let reads = self.config.read_body_for_logout.unwrap_or(false);
        self.config.logout_query_arg.as_ref().is_some_and(by_query)
            || (reads && self.config.logout_post_arg.as_ref().is_some_and(by_body))
    }

    fn is_logout_method(&self, method: &Method) -> bool {
        self.config.logout_methods.iter().flatten().any(|name| name == method.as_str())
    }

    /// Ends the session, and forgets the browser.
    fn log_out(&self, ctx: &Ctx<'_>) -> Flow {
        let both = std::iter::once(&self.cookies.session).chain(&self.cookies.remember);
        let mut answer = Answer::empty(StatusCode::OK).header("Cache-Control", "no-store");
        let mut ending = Vec::new();
        for cookie in both {
            answer = answer.header("Set-Cookie", self.attributes.clear(&cookie.name));
            ending.extend(self.open_by(ctx, cookie).and_then(|open| Some((open.ticket.id, open.record?))));
        }
        let Some(store) = self.store.clone().filter(|_| !ending.is_empty()) else { return answer.into() };
        Flow::Wait(Box::pin(async move {
            let mut flow: Flow = answer.into();
            for (id, record) in ending {
                if let Err(error) = store.delete(&id, record).await {
                    tracing::warn!(plugin = NAME, %error, "a session could not be deleted");
                    let message = "The session could not be ended";
                    let answer = Answer::message(StatusCode::SERVICE_UNAVAILABLE, message);
                    flow = answer.header("Retry-After", "5").into();
                }
            }
            let resume: Resume = Box::new(|_| flow);
            resume
        }))
    }

    /// Keeps a session under a new id, in the place of the one before. Gives its ticket, and the field that brings it.
    fn keep(
        &self,
        cookie: &Cookie,
        who: &Who,
        (created, now): (i64, i64),
        before: Option<Found>,
    ) -> Option<(Ticket, String)> {
        let id = match store::mint_id() {
            Ok(id) => id,
            Err(error) => {
                tracing::warn!(plugin = NAME, %error, "no session is begun");
                return None;
            }
        };
        let ticket = Ticket { id, created, rolled: now, used: now, who: None };
        let field = self.field(cookie, &ticket, who, now)?;
        if let Some(store) = &self.store {
            let ends = Timeouts { idling: 0, ..cookie.timeouts };
            let life = ends.left(&ticket, now).and_then(|left| u64::try_from(left).ok());
            if !store.put(&ticket.id, who, life.map(Duration::from_millis), before) {
                return None;
            }
        }
        Some((ticket, field))
    }

    /// The Set-Cookie field that brings a ticket.
    fn field(&self, cookie: &Cookie, ticket: &Ticket, who: &Who, now: i64) -> Option<String> {
        let inline = self.store.is_none().then(|| who.clone());
        let ticket = Ticket { who: inline, ..ticket.clone() };
        let text = serde_json::to_vec(&ticket).ok()?;
        let sealed = match self.seal.seal(&cookie.name, &text) {
            Ok(sealed) => sealed,
            Err(error) => {
                tracing::warn!(plugin = NAME, %error, "no cookie is written");
                return None;
            }
        };
        let max_age = cookie.timeouts.left(&ticket, now).filter(|_| cookie.persistent).map(|ms| ms / 1000);
        let field = self.attributes.set(&cookie.name, &sealed, max_age);
        if field.is_none() {
            let most = cookie::LONGEST;
            tracing::warn!(
                plugin = NAME,
                most,
                "a session does not fit into a cookie: keep sessions in the store"
            );
        }
        field
    }

    /// What is to become of the session of a client that was authenticated: its ticket, and the cookies to set.
    fn renew(&self, open: Option<Open>, who: &Who, now: i64) -> (Option<Ticket>, Vec<String>) {
        let mut fields = Vec::new();
        let mut kept =
            |kept: Option<(Ticket, String)>| kept.map(|(ticket, field)| (fields.push(field), ticket).1);
        let ticket = match open {
            // Of several requests that are remembered at once, the first begins the session.
            Some(open) if open.who == *who && (!open.remembered || open.stale) => match open.standing {
                Standing::Roll if !open.stale => {
                    let before = open.stored();
                    kept(self.keep(&self.cookies.session, who, (open.ticket.created, now), before))
                }
                Standing::Touch => {
                    let ticket = Ticket { used: now, ..open.ticket };
                    let field = self.field(&self.cookies.session, &ticket, who, now);
                    kept(field.map(|field| (ticket, field)))
                }
                _ => Some(open.ticket),
            },
            open => {
                let same = open.as_ref().filter(|open| open.remembered && open.who == *who);
                let since = same.map_or(now, |open| open.ticket.created);
                if let Some(remember) = &self.cookies.remember {
                    let before = same.and_then(Open::stored);
                    kept(self.keep(remember, who, (since, now), before));
                }
                // Somebody else's session ends here.
                let before = open.filter(|open| !open.remembered).and_then(|open| open.stored());
                kept(self.keep(&self.cookies.session, who, (now, now), before))
            }
        };
        (ticket, fields)
    }

    /// Tells of a session in header fields.
    fn tell(&self, what: &[Tells], ticket: &Ticket, who: &Who, now: i64, headers: &mut Headers) {
        let timeouts = self.cookies.session.timeouts;
        let [idling, rolling, absolute] = timeouts.each(ticket, now);
        let seconds = |left: Option<i64>| left.map(|left| (left.max(0) / 1000).to_string());
        for tells in what {
            let value = match tells {
                Tells::Id => Some(ticket.id.clone()),
                Tells::Audience => self.config.audience.clone(),
                Tells::Subject => who.subject(),
                Tells::Timeout => seconds(timeouts.left(ticket, now)),
                Tells::IdlingTimeout => seconds(idling),
                Tells::RollingTimeout => seconds(rolling),
                Tells::AbsoluteTimeout => seconds(absolute),
            };
            if let Some(value) = value {
                headers.set(tells.header(), value);
            }
        }
    }
}

impl Tells {
    fn header(self) -> &'static str {
        match self {
            Self::Id => "Session-Id",
            Self::Audience => "Session-Audience",
            Self::Subject => "Session-Subject",
            Self::Timeout => "Session-Timeout",
            Self::IdlingTimeout => "Session-Idling-Timeout",
            Self::RollingTimeout => "Session-Rolling-Timeout",
            Self::AbsoluteTimeout => "Session-Absolute-Timeout",
        }
    }
}

impl Plugin for Instance {
    fn phases(&self) -> Phases {
        let body = self.config.read_body_for_logout.unwrap_or(false);
        Phases { access: true, header_filter: true, body, ..Phases::default() }
    }

    fn reads_body(&self, ctx: &Ctx<'_>) -> bool {
        self.is_logout_method(&ctx.method) && matches!(media_type(ctx), Some(FORM | "application/json"))
    }

    fn access(&self, ctx: &mut Ctx<'_>) -> Flow {
        let told = self.config.request_headers.as_deref().unwrap_or_default();
        for tells in told {
            ctx.headers.remove(tells.header());
        }
        let Some(open) = self.open(ctx) else { return Flow::Continue };
        if self.is_logout(ctx) {
            return self.log_out(ctx);
        }
        if open.who.clone().authenticate(ctx) {
            let now = now_ms(ctx);
            self.tell(told, &open.ticket, &open.who, now, &mut ctx.headers);
        }
        Flow::Continue
    }

    fn header_filter(&self, ctx: &mut Ctx<'_>, response: &mut Headers) {
        let Some(who) = Who::of(ctx) else { return };
        let now = now_ms(ctx);
        let (ticket, fields) = self.renew(self.open(ctx), &who, now);
        for field in fields {
            response.append("Set-Cookie", field);
        }
        let told = self.config.response_headers.as_deref().unwrap_or_default();
        if let Some(ticket) = ticket {
            self.tell(told, &ticket, &who, now, response);
        }
    }
}

/// When the request began, epoch milliseconds.
fn now_ms(ctx: &Ctx<'_>) -> i64 {
    i64::try_from(ctx.started_ms).unwrap_or(i64::MAX)
}

fn media_type<'a>(ctx: &'a Ctx<'_>) -> Option<&'a str> {
    Some(ctx.headers.get_str("Content-Type")?.split(';').next().unwrap_or_default().trim())
}

/// The kind of plugin.
pub(crate) struct Session(pub(crate) Arc<Pending>);

impl Kind for Session {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        1900
    }

    fn schema(&self) -> PluginSchema {
        schema::schema()
    }

    fn build(&self, config: &Value, env: &Env) -> Result<Arc<dyn Plugin>, BuildError> {
        let config: Config = config::read(NAME, config)?;
        let name = |name: &Option<String>, usual: &str| name.clone().unwrap_or_else(|| usual.to_owned());
        let session = Cookie {
            name: name(&config.cookie_name, "session"),
            timeouts: Timeouts {
                idling: ms(config.idling_timeout),
                rolling: ms(config.rolling_timeout),
                absolute: ms(config.absolute_timeout),
            },
            persistent: false,
        };
        let remember = config.remember.unwrap_or(false).then(|| Cookie {
            name: name(&config.remember_cookie_name, "remember"),
            timeouts: Timeouts {
                idling: 0,
                rolling: ms(config.remember_rolling_timeout),
                absolute: ms(config.remember_absolute_timeout),
            },
            persistent: true,
        });
        let attributes = Attributes::new(
            config.cookie_path.as_deref(),
            config.cookie_domain.as_deref(),
            config.cookie_same_site.as_deref().filter(|same_site| *same_site != "Default"),
            config.cookie_secure.unwrap_or(true),
            config.cookie_http_only.unwrap_or(true),
        );
        let store = (config.storage == Some(Storage::Kong)).then(|| Store {
            records: Arc::clone(&env.records),
            pending: Arc::clone(&self.0),
            stale: Duration::from_millis(u64::try_from(ms(config.stale_ttl)).unwrap_or_default()),
        });
        let seal =
            Seal::new(config.secret.expose().as_bytes(), config.audience.as_deref().unwrap_or_default());
        let cookies = Cookies { session, remember };
        Ok(Arc::new(Instance { config, seal, attributes, cookies, store }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::test;

    #[test]
    fn schema_and_type_agree() {
        let kind = Session(Arc::default());
        test::matches_recording_but(&kind, |recorded| {
            // Kong draws one secret when it starts, for all plugins that have none, and shows it as the default.
            let config = &mut recorded["fields"][2]["config"]["fields"];
            let secret = config[0]["secret"].as_object_mut().unwrap();
            assert!(secret.remove("default").is_some());
            secret.insert("auto".to_owned(), json!(true));
        });
        let minted = test::complete(&kind, json!({})).unwrap();
        assert_eq!(minted["secret"], "token");
        let all: Vec<&str> =
            vec!["id", "audience", "subject", "timeout", "idling-timeout", "rolling-timeout"];
        test::build(&kind, json!({"storage": "kong", "response_headers": all, "remember": true}));
        test::build(&kind, json!({"storage": null, "idling_timeout": null, "cookie_path": null}));
    }

    #[test]
    fn old_names_mean_the_new_fields() {
        let old = json!({
            "cookie_lifetime": 1, "cookie_idletime": 2, "cookie_renew": 3, "cookie_discard": 4,
            "cookie_samesite": "off", "cookie_httponly": false, "cookie_persistent": true,
        });
        let config = test::complete(&Session(Arc::default()), old).unwrap();
        let of = |name: &str| config[name].clone();
        assert_eq!(
            [of("absolute_timeout"), of("idling_timeout"), of("stale_ttl")],
            [1, 2, 4].map(Value::from)
        );
        assert_eq!(
            [of("cookie_same_site"), of("cookie_http_only"), of("remember")],
            [json!("Default"), json!(false), json!(true)]
        );
    }

    #[test]
    fn what_would_break_a_cookie_is_refused() {
        for (field, value) in
            [("cookie_name", "a;b"), ("cookie_path", "/;"), ("cookie_domain", "a\r\n"), ("secret", "")]
        {
            assert!(test::complete(&Session(Arc::default()), json!({field: value})).is_err(), "{field}");
        }
    }
}
