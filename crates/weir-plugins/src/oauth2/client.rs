//! Who a client is that asks for a token (RFC 6749, 2.3).
//!
//! Secrets are compared in constant time. Whatever is wrong, a client that does not exist or its secret, and in
//! whichever way the secret is kept, a refusal costs one slow hash; who is refused learns nothing from the time it took. Slow
//! hashes run on threads of their own, a few at a time; few more wait, and whoever comes then is turned away unheard.

use std::sync::{Arc, LazyLock};

use http::StatusCode;
use weir_mint::{Secret, slow};
use weir_model::typed::OAuth2Client;
use weir_plugin::{Ctx, Kept};

use super::answer::{Failure, Refused, challenge};
use super::params::{self, Params};
use crate::queue::Queue;

/// Slow hashes, for all instances.
static SLOW: LazyLock<Queue> = LazyLock::new(|| Queue::new(2, 64));
/// The hash of nobody's secret.
const NOBODY: &str =
    "$pbkdf2-sha512$i=10000,l=32$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A client of OAuth 2.0, as it is kept.
pub(super) type Client = Arc<Kept<OAuth2Client>>;

/// What a client shows, looked at as far as takes no time.
pub(super) struct Claim {
    client: Option<Client>,
    proof: Proof,
    /// What to answer if it does not hold.
    refused: Refused,
}

enum Proof {
    Good,
    /// Nothing was shown that could be right or wrong.
    Missing,
    Bad,
    /// One of these texts may be the secret of one of these hashes.
    Slow {
        shown: Vec<Secret>,
        hashes: Vec<Secret>,
    },
}

/// A name and a secret, each perhaps in two readings.
struct Shown {
    id: Secret,
    secret: Option<Secret>,
    by_header: bool,
}

impl Claim {
    /// Looks at what a request shows.
    pub(super) fn read(ctx: &Ctx<'_>, params: &Params, realm: Option<&str>) -> Result<Self, Refused> {
        let invalid = || Refused::new("invalid_client", "Invalid client authentication");
        let Some(shown) = shown(ctx, params)? else {
            return Ok(Self { client: None, proof: Proof::Missing, refused: invalid() });
        };
        let refused = if shown.by_header {
            let challenge = challenge("Basic", Some(realm.unwrap_or("OAuth2.0")), &[]);
            invalid().status(StatusCode::UNAUTHORIZED).challenge(challenge).guess()
        } else {
            invalid().guess()
        };
        // RFC 6749, 2.3.1 has both form-encoded before Basic; most clients, as Kong, do not.
        let readings = |text: &Secret| {
            let mut list = vec![text.clone()];
            let decoded = if shown.by_header { params::decode(text.expose()) } else { None };
            list.extend(decoded.filter(|decoded| decoded != text));
            list
        };
        let mut ids = readings(&shown.id).into_iter();
        let client = ids.find_map(|id| ctx.directory.oauth2_client(id.expose())).cloned();
        let secrets = shown.secret.as_ref().map(readings);
        let proof = match (&client, secrets) {
            (Some(client), None) if client.public => Proof::Good,
            (Some(client), Some(_)) if client.public => {
                return Err(Refused::new("invalid_request", "A public client has no client_secret"));
            }
            (_, None) => Proof::Missing,
            (Some(client), Some(shown)) => compare(ctx, client, shown),
            (None, Some(_)) => Proof::Bad,
        };
        Ok(Self { client, proof, refused })
    }

    /// The client, if what it showed is right.
    pub(super) async fn prove(self) -> Result<Client, Failure> {
        let proven = match self.proof {
            Proof::Good => true,
            Proof::Missing => false,
            Proof::Bad => {
                let nobody = || vec![Secret::new(NOBODY.to_owned())];
                let _ = verify(vec![Secret::new(String::new())], nobody()).await?;
                false
            }
            Proof::Slow { shown, hashes } => verify(shown, hashes).await?,
        };
        self.client.filter(|_| proven).ok_or(self.refused.into())
    }
}

/// What the request shows: in the parameters, or by HTTP Basic, but not both (RFC 6749, 2.3).
fn shown(ctx: &Ctx<'_>, params: &Params) -> Result<Option<Shown>, Refused> {
    let invalid = || Refused::new("invalid_client", "Invalid client authentication");
    let header = match ctx.headers.get("Authorization").and_then(params::basic) {
        None => None,
        Some(Ok(header)) => Some(header),
        Some(Err(_)) => return Err(invalid()),
    };
    let secret = params.secret("client_secret").cloned();
    let id = params.secret("client_id").cloned();
    match (header, id) {
        (Some(_), _) if secret.is_some() => {
            Err(Refused::new("invalid_request", "The client authenticates in more than one way"))
        }
        (Some((name, _)), Some(id)) if name != id => Err(invalid()),
        (Some((name, password)), _) => {
            let secret = Some(password).filter(|password| !password.expose().is_empty());
            Ok(Some(Shown { id: name, secret, by_header: true }))
        }
        (None, Some(id)) => Ok(Some(Shown { id, secret, by_header: false })),
        (None, None) => Ok(None),
    }
}

fn compare(ctx: &Ctx<'_>, client: &Client, shown: Vec<Secret>) -> Proof {
    let now_ms = i64::try_from(ctx.started_ms).unwrap_or(i64::MAX);
    let previous = client.previous.as_ref().filter(|previous| previous.until_ms > now_ms);
    let kept = client.client_secret.iter().chain(previous.map(|previous| &previous.secret));
    if client.hash_secret {
        let hashes: Vec<Secret> = kept.cloned().collect();
        return if hashes.is_empty() { Proof::Bad } else { Proof::Slow { shown, hashes } };
    }
    // Each is compared, whichever is right.
    let right = kept.fold(false, |right, kept| {
        shown
            .iter()
            .fold(right, |right, shown| right | ctx.directory.is_secret(kept, shown.expose().as_bytes()))
    });
    if right { Proof::Good } else { Proof::Bad }
}

/// Whether one of the texts is the secret of one of the hashes.
async fn verify(shown: Vec<Secret>, hashes: Vec<Secret>) -> Result<bool, Failure> {
    let turn = SLOW.turn().await.ok_or(Failure::Busy)?;
    let is =
        |shown: &Secret, hash: &Secret| slow::verify_client_secret(hash.expose(), shown.expose().as_bytes());
    let check = move || hashes.iter().any(|hash| shown.iter().any(|shown| is(shown, hash)));
    Ok(turn.work(check).await.unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use weir_mint::Uuid;
    use weir_model::typed::Previous;

    use super::*;
    use crate::config::test::{Stub, with_request};

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    /// A client that had another secret until the time 100.
    fn rotated(hash_secret: bool) -> OAuth2Client {
        let kept = |text: &str| match hash_secret {
            true => Secret::new(slow::hash_client_secret(text.as_bytes()).unwrap()),
            false => secret(text),
        };
        OAuth2Client {
            id: Uuid::from_bytes([1; 16]),
            consumer: Uuid::from_bytes([2; 16]),
            name: "app".into(),
            client_id: "a b".into(),
            client_secret: Some(kept("new")),
            hash_secret,
            redirect_uris: Vec::new(),
            public: false,
            previous: Some(Previous { secret: kept("old"), until_ms: 100 }),
        }
    }

    /// Whether a client that shows this form and this Authorization field is the one that is known.
    fn proven(
        client: OAuth2Client,
        at_ms: u64,
        form: &str,
        authorization: Option<&str>,
    ) -> Result<(), StatusCode> {
        let stub = Stub { client: Some(Arc::new(Kept::new(client))), ..Stub::default() };
        let params = Params::read(Some(form), None, b"").unwrap();
        let mut claim = None;
        with_request(&stub, |ctx| {
            ctx.started_ms = at_ms;
            if let Some(field) = authorization {
                ctx.headers.append("Authorization", field);
            }
            claim = Some(Claim::read(ctx, &params, None));
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let claim = claim.unwrap().map_err(|refused| refused.status)?;
        runtime.block_on(claim.prove()).map(drop).map_err(|failure| failure.answer().status)
    }

    #[test]
    fn a_secret_is_good_for_a_while_after_its_rotation() {
        for hashed in [false, true] {
            let shows = |text: &str, at_ms| {
                proven(rotated(hashed), at_ms, &format!("client_id=a+b&client_secret={text}"), None)
            };
            let bad = Err(StatusCode::BAD_REQUEST);
            assert_eq!([shows("new", 50), shows("old", 50), shows("ole", 50)], [Ok(()), Ok(()), bad]);
            assert_eq!([shows("new", 100), shows("old", 100)], [Ok(()), bad], "hashed: {hashed}");
        }
    }

    #[test]
    fn basic_is_taken_literally_and_decoded() {
        let basic = |text: &str| {
            let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
            proven(rotated(false), 0, "", Some(&format!("Basic {encoded}")))
        };
        assert_eq!([basic("a b:new"), basic("a+b:ne%77")], [Ok(()), Ok(())]);
        assert_eq!(basic("a b:ne"), Err(StatusCode::UNAUTHORIZED));
        assert_eq!(proven(rotated(false), 0, "client_id=a+b", None), Err(StatusCode::BAD_REQUEST));
        assert_eq!(
            proven(rotated(false), 0, "client_id=c&client_secret=new", None),
            Err(StatusCode::BAD_REQUEST)
        );
    }

    #[test]
    fn whoever_is_turned_away_may_come_again() {
        let answer = Failure::Busy.answer();
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers.get_str("Retry-After").is_some());
    }

    #[test]
    fn nobodys_hash_is_one() {
        assert!(slow::is_client_secret_hash(NOBODY));
        let real = slow::hash_client_secret(b"x").unwrap();
        let form = |hash: &str| hash.split('$').map(str::len).collect::<Vec<_>>();
        assert_eq!(form(NOBODY), form(&real), "the same work as for a real one");
        assert_eq!(NOBODY.split('$').nth(2), real.split('$').nth(2));
    }
}
