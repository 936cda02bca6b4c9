//! What a cookie holds, and how long that is good for.
//!
//! A session ends when it has not been used for the idling time, when its id is older than the rolling time, or when it
//! is itself older than the absolute time; 0 stands for no such end. In the last quarter of the rolling time it
//! gets another id, and so another cookie. When it was last used is written down once a minute, or four times in the
//! idling time if that is shorter.
//!
//! A clock that was set back makes a session last longer by as much, and never shorter.

use serde::{Deserialize, Serialize};
use weir_mint::Uuid;
use weir_plugin::{Credential, Ctx};

/// How often at most a cookie is written to say when its session was last used, milliseconds.
const TOUCH_MS: i64 = 60_000;

/// What a cookie holds. Times are epoch milliseconds.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ticket {
    /// The session's id.
    pub(crate) id: String,
    /// When the session began.
    pub(crate) created: i64,
    /// When it got its id.
    pub(crate) rolled: i64,
    /// When it was last used, roughly.
    pub(crate) used: i64,
    /// Whose it is, where the store does not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) who: Option<Who>,
}

/// Whose a session is: what another plugin found out about the client.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Who {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    consumer: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<String>>,
}

impl Who {
    /// Who a request is from; `None` for a stand-in or nobody.
    pub(super) fn of(ctx: &Ctx<'_>) -> Option<Self> {
        if !ctx.is_authenticated() {
            return None;
        }
        Some(Self {
            consumer: ctx.consumer().map(|consumer| consumer.id),
            credential: ctx.identity.and_then(|identity| identity.credential).map(|credential| credential.id),
            subject: ctx.subject.clone(),
            groups: ctx.groups.clone(),
        })
    }

    /// Settles that a request is from whom the session is of. Says no when that is nobody any more.
    pub(super) fn authenticate(self, ctx: &mut Ctx<'_>) -> bool {
        let directory = ctx.directory;
        match (self.consumer, self.credential, self.subject) {
            (Some(id), Some(credential), _) => {
                let Some(consumer) = directory.consumer(&id) else { return false };
                ctx.authenticate(consumer, Some(Credential { id: credential, consumer: id }));
            }
            (None, _, Some(subject)) => ctx.authenticate_subject(subject),
            _ => return false,
        }
        ctx.groups = self.groups;
        true
    }

    /// What it is called in header fields.
    pub(super) fn subject(&self) -> Option<String> {
        self.consumer.map(|id| id.to_string()).or_else(|| self.subject.clone())
    }
}

/// How long sessions last, milliseconds; 0 for ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub(super) idling: i64,
    pub(super) rolling: i64,
    pub(super) absolute: i64,
}

/// What is left of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Ended,
    /// It is good, and nothing is to be done about its cookie.
    Good,
    /// It is good, and its cookie is to say that it was used.
    Touch,
    /// It is good, and is to get another id.
    Roll,
}

/// Milliseconds of a configuration's seconds. What is negative or not a number is 0.
pub(super) fn ms(seconds: Option<f64>) -> i64 {
    (seconds.unwrap_or_default().max(0.0) * 1000.0) as i64
}

impl Timeouts {
    pub(super) fn standing(&self, ticket: &Ticket, now: i64) -> Standing {
        if self.left(ticket, now).is_some_and(|left| left <= 0) {
            return Standing::Ended;
        }
        let age = |since: i64| now.saturating_sub(since).max(0);
        if self.rolling > 0 && age(ticket.rolled) > self.rolling / 4 * 3 {
            return Standing::Roll;
        }
        let due = TOUCH_MS.min(self.idling / 4);
        if self.idling > 0 && age(ticket.used) > due { Standing::Touch } else { Standing::Good }
    }

    /// Until it ends, milliseconds; `None` for never.
    pub(super) fn left(&self, ticket: &Ticket, now: i64) -> Option<i64> {
        self.each(ticket, now).into_iter().flatten().min()
    }

    /// Until each of its ends: idling, rolling, absolute.
    pub(super) fn each(&self, ticket: &Ticket, now: i64) -> [Option<i64>; 3] {
        let left = |timeout: i64, since: i64| {
            (timeout > 0).then(|| timeout.saturating_sub(now.saturating_sub(since).max(0)))
        };
        [
            left(self.idling, ticket.used),
            left(self.rolling, ticket.rolled),
            left(self.absolute, ticket.created),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test::{Stub, with_request};

    fn alice() -> Stub {
        let id = Uuid::from_bytes([7; 16]);
        let consumer = weir_model::typed::Consumer { id, username: Some("alice".into()), custom_id: None };
        Stub { consumer: Some(consumer), ..Stub::default() }
    }

    const TIMES: Timeouts = Timeouts { idling: 900_000, rolling: 3_600_000, absolute: 86_400_000 };

    fn standing(created: i64, rolled: i64, used: i64, now: i64) -> Standing {
        let ticket = Ticket { id: String::new(), created, rolled, used, who: None };
        TIMES.standing(&ticket, now)
    }

    #[test]
    fn a_session_ends_in_three_ways() {
        let now = 1_000_000_000;
        assert_eq!(standing(now, now, now, now), Standing::Good);
        assert_eq!(standing(now, now, now - 899_999, now), Standing::Touch);
        assert_eq!(standing(now, now, now - 900_000, now), Standing::Ended);
        assert_eq!(standing(now, now - 3_599_999, now, now), Standing::Roll);
        assert_eq!(standing(now, now - 3_600_000, now, now), Standing::Ended);
        assert_eq!(standing(now - 86_399_999, now, now, now), Standing::Good);
        assert_eq!(standing(now - 86_400_000, now, now, now), Standing::Ended);
        assert_eq!(standing(now + 5_000, now + 5_000, now + 5_000, now), Standing::Good, "a clock set back");
    }

    #[test]
    fn zero_is_no_end() {
        let ticket = Ticket { id: String::new(), created: 0, rolled: 0, used: 0, who: None };
        let never = Timeouts { idling: 0, rolling: 0, absolute: 0 };
        assert_eq!(never.standing(&ticket, i64::MAX), Standing::Good);
        assert_eq!(never.left(&ticket, i64::MAX), None);
        assert_eq!((ms(Some(1.5)), ms(Some(-1.0)), ms(Some(f64::NAN)), ms(None)), (1500, 0, 0, 0));
    }

    #[test]
    fn a_ticket_is_read_strictly() {
        let text = r#"{"id":"a","created":1,"rolled":2,"used":3,"who":{"subject":"x","groups":["g"]}}"#;
        let ticket: Ticket = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&ticket).unwrap(), text);
        assert!(serde_json::from_str::<Ticket>(&text.replace("used", "usee")).is_err());
    }

    #[test]
    fn whoever_was_found_survives() {
        let (consumer, credential) = (Uuid::from_bytes([7; 16]), Uuid::from_bytes([8; 16]));
        let groups = Some(vec!["staff".to_owned(), "a, b".to_owned()]);
        let by_consumer = Who { consumer: Some(consumer), credential: Some(credential), ..Who::default() };
        let by_subject =
            Who { subject: Some("ldap:bob".to_owned()), groups: groups.clone(), ..Who::default() };
        let both = Who { groups, ..by_consumer.clone() };
        for who in [by_consumer, by_subject, both] {
            let kept = serde_json::to_string(&who).unwrap();
            with_request(&alice(), |ctx| {
                assert_eq!(Who::of(ctx), None);
                assert!(serde_json::from_str::<Who>(&kept).unwrap().authenticate(ctx));
                assert_eq!(Who::of(ctx).as_ref(), Some(&who));
                assert_eq!(ctx.consumer().is_some(), who.consumer.is_some());
            });
        }
    }

    #[test]
    fn whoever_is_gone_is_nobody() {
        let gone = Who { consumer: Some(Uuid::from_bytes([9; 16])), ..Who::default() };
        for who in [gone, Who::default(), Who { consumer: Some(Uuid::from_bytes([7; 16])), ..Who::default() }]
        {
            with_request(&alice(), |ctx| {
                assert!(!who.authenticate(ctx));
                assert!(!ctx.is_authenticated() && ctx.groups.is_none());
            });
        }
    }
}
