//! `mtls-auth`: finds out by a certificate, which the client showed in the TLS handshake, who sends a request.
//!
//! Phase: access. Fails closed: without a certificate that one of the configured authorities vouches for, for clients and at
//! this time (RFC 5280), the answer is 401. Clients are asked for a certificate while any instance is in force, and need not
//! have one; the handshake proves that they hold its key.
//!
//! Deliberately absent: revocation lists and OCSP. An authority whose certificates live for days needs none.
//!
//! ```yaml
//! plugins:
//! - name: mtls-auth
//!   config: {ca_certificates: [0c2d8c2e-5a0e-4a70-b1c5-4b55ee3f7f5e]}
//! ```

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, RootCertStore};
use rustls_pki_types::{CertificateDer, UnixTime};
use serde::Deserialize;
use serde_json::{Value, json};
use weir_kernel::clock;
use weir_mint::Uuid;
use weir_model::PluginSchema;
use weir_model::schema::{Rule, array, boolean, number, record, string, text};
use weir_model::typed::{CaCertificate, Consumer};
use weir_model::x509::Subject;
use weir_plugin::{Answer, BuildError, Credential, Ctx, Env, Flow, Kind, Phases, Plugin};

use crate::auth::{Attempts, Gate, Refusal};
use crate::config;
use crate::recent::Recent;

const NAME: &str = "mtls-auth";

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ConsumerBy {
    Username,
    CustomId,
}

#[derive(Clone, Copy, Deserialize)]
enum GroupBy {
    #[serde(rename = "CN")]
    CommonName,
    #[serde(rename = "DN")]
    DistinguishedName,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    ca_certificates: Vec<Uuid>,
    skip_consumer_lookup: bool,
    anonymous: Option<String>,
    consumer_by: Vec<ConsumerBy>,
    authenticated_group_by: Option<GroupBy>,
    cache_ttl: f64,
}

struct Instance {
    gate: Gate,
    config: Config,
    life: Duration,
}

/// Why a certificate is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bad {
    Expired,
    NotYetValid,
    Untrusted,
}

/// What is made of an authority once: who verifies for it, and what was found good.
struct Authority {
    /// `None` when its certificate is no trust anchor.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    good: Recent<Arc<Subject>>,
}

impl Authority {
    fn new(certificate: &CaCertificate) -> Self {
        let provider = CryptoProvider::get_default()
            .map_or_else(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()), Arc::clone);
        let mut roots = RootCertStore::empty();
        let verifier = match roots.add(CertificateDer::from(certificate.der.clone())) {
            Ok(()) => WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().ok(),
            Err(_) => None,
        };
        Self { verifier: verifier.map(|verifier| verifier as _), good: Recent::default() }
    }

    /// Whom the certificate is for that this authority vouches for. What was good is not verified again for `life`.
    fn verify(&self, chain: &[Vec<u8>], life: Duration) -> Result<Arc<Subject>, Bad> {
        let key = self.good.key(&chain.iter().map(Vec::as_slice).collect::<Vec<_>>());
        if let Some(subject) = key.and_then(|key| self.good.get(&key)) {
            return Ok(subject);
        }
        let verifier = self.verifier.as_ref().ok_or(Bad::Untrusted)?;
        let mut certificates = chain.iter().map(|der| CertificateDer::from(der.as_slice()));
        let own = certificates.next().ok_or(Bad::Untrusted)?;
        let others: Vec<_> = certificates.collect();
        let now = UnixTime::since_unix_epoch(clock::since_unix_epoch());
        verifier.verify_client_cert(&own, &others, now).map_err(|error| match error {
            rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            ) => Bad::Expired,
            rustls::Error::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            ) => Bad::NotYetValid,
            _ => Bad::Untrusted,
        })?;
        let subject = Arc::new(Subject::read(&own).ok_or(Bad::Untrusted)?);
        if let Some(key) = key {
            let left = subject.not_after.saturating_sub(clock::unix_seconds());
            let left = Duration::from_secs(u64::try_from(left).unwrap_or_default());
            self.good.put(key, Arc::clone(&subject), life.min(left));
        }
        Ok(subject)
    }
}

impl Instance {
    /// Whom the client's certificate is for, and which authority says so.
    fn verify(&self, ctx: &Ctx<'_>) -> Result<(Arc<Subject>, Uuid), Refusal> {
        let unauthorized = |message| Answer::message(StatusCode::UNAUTHORIZED, message);
        let chain = ctx.client.certificates.as_deref().filter(|chain| !chain.is_empty());
        let chain =
            chain.ok_or_else(|| Refusal::Missing(unauthorized("A TLS client certificate is required")))?;
        let mut worst = Bad::Untrusted;
        for id in &self.config.ca_certificates {
            let Some(kept) = ctx.directory.ca_certificate(id) else { continue };
            let Some(authority) = kept.prepared(Authority::new) else { continue };
            match authority.verify(chain, self.life) {
                Ok(subject) => return Ok((subject, *id)),
                Err(Bad::Untrusted) => {}
                Err(bad) => worst = bad,
            }
        }
        Err(Refusal::Wrong(unauthorized(match worst {
            Bad::Expired => "The TLS client certificate has expired",
            Bad::NotYetValid => "The TLS client certificate is not valid yet",
            Bad::Untrusted => "The TLS client certificate cannot be verified",
        })))
    }

    /// The consumer who is known by a name in the certificate.
    fn consumer<'a>(
        &self,
        ctx: &Ctx<'a>,
        subject: &Subject,
        authority: &Uuid,
    ) -> Option<(&'a Consumer, Credential)> {
        let directory = ctx.directory;
        let names = || subject.alternative_names.iter().chain(&subject.common_name).map(String::as_str);
        let known = names().find_map(|name| {
            let credential = directory.mtls(name, Some(authority)).or_else(|| directory.mtls(name, None))?;
            Some((directory.consumer(&credential.consumer)?, credential))
        });
        known.or_else(|| {
            let of = |name: &str, by: &ConsumerBy| match by {
                ConsumerBy::Username => directory
                    .consumer_named(name)
                    .filter(|consumer| consumer.username.as_deref() == Some(name)),
                ConsumerBy::CustomId => directory.consumer_by_custom_id(name),
            };
            let found = names().find_map(|name| self.config.consumer_by.iter().find_map(|by| of(name, by)));
            // It is known by its own name: there is no credential but the consumer itself.
            found.map(|consumer| (consumer, Credential { id: consumer.id, consumer: consumer.id }))
        })
    }

    fn authenticate(&self, ctx: &mut Ctx<'_>) -> Result<(), Refusal> {
        let (subject, authority) = self.verify(ctx)?;
        if !self.config.skip_consumer_lookup {
            let unknown = || {
                Refusal::Wrong(Answer::message(
                    StatusCode::UNAUTHORIZED,
                    "The TLS client certificate is nobody's here",
                ))
            };
            let (consumer, credential) = self.consumer(ctx, &subject, &authority).ok_or_else(unknown)?;
            ctx.authenticate(consumer, Some(credential));
            return Ok(());
        }
        let group = match self.config.authenticated_group_by {
            Some(GroupBy::CommonName) => subject.common_name.clone(),
            Some(GroupBy::DistinguishedName) => Some(subject.distinguished_name.clone()),
            None => None,
        };
        ctx.authenticate_subject(subject.distinguished_name.clone());
        ctx.groups = group.map(|group| vec![group]);
        Ok(())
    }
}

impl Plugin for Instance {
    fn phases(&self) -> Phases {
        Phases { access: true, client_certificate: true, ..Phases::default() }
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

/// The kind of plugin.
pub(crate) struct MtlsAuth(pub(crate) Arc<Attempts>);

impl Kind for MtlsAuth {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        1600
    }

    fn schema(&self) -> PluginSchema {
        let config = record([
            ("ca_certificates", array(text().rule(Rule::Uuid)).required().rule(Rule::LenMin(1))),
            ("skip_consumer_lookup", boolean().required().default(false)),
            ("anonymous", string()),
            (
                "consumer_by",
                array(string().one_of(["username", "custom_id"]))
                    .required()
                    .default(json!(["username", "custom_id"])),
            ),
            ("authenticated_group_by", string().one_of(["CN", "DN"]).default("CN")),
            ("cache_ttl", number().between(0, 3600).required().default(60)),
        ]);
        PluginSchema::http(NAME, config).no_consumer()
    }

    fn build(&self, config: &Value, env: &Env) -> Result<Arc<dyn Plugin>, BuildError> {
        let config: Config = config::read(NAME, config)?;
        let gate = Gate::new(NAME, env.id, config.anonymous.clone(), true, &self.0);
        let life = Duration::try_from_secs_f64(config.cache_ttl).unwrap_or_default();
        Ok(Arc::new(Instance { gate, config, life }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test;

    #[test]
    fn schema_and_type_agree() {
        let kind = MtlsAuth(Arc::default());
        let id = "00000000-0000-4000-8000-000000000001";
        test::build(&kind, json!({"ca_certificates": [id]}));
        test::build(
            &kind,
            json!({"ca_certificates": [id], "authenticated_group_by": "DN", "skip_consumer_lookup": true}),
        );
        for bad in [json!({}), json!({"ca_certificates": []}), json!({"ca_certificates": ["x"]})] {
            assert!(test::complete(&kind, bad).is_err());
        }
    }
}
