//! What lets clients in, as values with types.

use serde_json::Value;
use weir_mint::{Secret, Uuid};

use super::{Mismatch, Read};
use crate::Record;

/// An authority that vouches for clients.
#[derive(Clone, Debug)]
pub struct CaCertificate {
    /// Its primary key.
    pub id: Uuid,
    /// Its certificate, in DER.
    pub der: Vec<u8>,
}

/// A name in certificates by which a consumer is known.
#[derive(Clone, Debug)]
pub struct MtlsCredential {
    /// Its primary key.
    pub id: Uuid,
    /// Whose name it is.
    pub consumer: Uuid,
    /// The name.
    pub subject_name: Box<str>,
    /// The authority whose certificates are meant; any, if there is none.
    pub ca_certificate: Option<Uuid>,
}

/// A consumer's API key. The key itself is known by its digest alone.
#[derive(Clone, Copy, Debug)]
pub struct KeyCredential {
    /// Its primary key.
    pub id: Uuid,
    /// Whose it is.
    pub consumer: Uuid,
}

/// A group that a consumer is in.
#[derive(Clone, Debug)]
pub struct Acl {
    /// Its primary key.
    pub id: Uuid,
    /// Who is in the group.
    pub consumer: Uuid,
    /// The group.
    pub group: Box<str>,
}

/// The secret that a credential had before it was rotated.
#[derive(Clone, Debug)]
pub struct Previous {
    /// The secret.
    pub secret: Secret,
    /// Until when it is still good, epoch milliseconds.
    pub until_ms: i64,
}

/// A consumer's username and password.
#[derive(Clone, Debug)]
pub struct BasicCredential {
    /// Its primary key.
    pub id: Uuid,
    /// Whose it is.
    pub consumer: Uuid,
    /// The username.
    pub username: Box<str>,
    /// The password's hash: argon2id in PHC's form, or 40 hexadecimal digits as Kong has it.
    pub password: Secret,
    /// The hash of the password before.
    pub previous: Option<Previous>,
}

/// What a consumer signs requests with.
#[derive(Clone, Debug)]
pub struct HmacCredential {
    /// Its primary key.
    pub id: Uuid,
    /// Whose it is.
    pub consumer: Uuid,
    /// The username that goes with the secret.
    pub username: Box<str>,
    /// The secret.
    pub secret: Secret,
    /// The secret before.
    pub previous: Option<Previous>,
}

/// What a consumer signs its JSON Web Tokens with.
#[derive(Clone, Debug)]
pub struct JwtCredential {
    /// Its primary key.
    pub id: Uuid,
    /// Whose it is.
    pub consumer: Uuid,
    /// What tokens name it by.
    pub key: Box<str>,
    /// The secret of HS256 and its like.
    pub secret: Option<Secret>,
    /// The public key of all others, or a certificate: PEM.
    pub public_key: Option<Box<str>>,
    /// The one algorithm that its tokens are signed by.
    pub algorithm: Box<str>,
    /// The secret or the public key before.
    pub previous: Option<Previous>,
}

/// A client of OAuth 2.0.
#[derive(Clone, Debug)]
pub struct OAuth2Client {
    /// Its primary key.
    pub id: Uuid,
    /// Whose it is.
    pub consumer: Uuid,
    /// What people call it.
    pub name: Box<str>,
    /// What it calls itself.
    pub client_id: Box<str>,
    /// Its secret, the hash of it, or what a digest of it is known by.
    pub client_secret: Option<Secret>,
    /// Whether only the hash of the secret is kept.
    pub hash_secret: bool,
    /// Where answers to its users may be sent.
    pub redirect_uris: Vec<String>,
    /// Whether it can keep no secret (RFC 6749, 2.1).
    pub public: bool,
    /// The secret before.
    pub previous: Option<Previous>,
}

/// An access token of OAuth 2.0, with the refresh token that goes with it.
#[derive(Clone, Debug)]
pub struct OAuth2Token {
    /// Its primary key.
    pub id: Uuid,
    /// When it was made, epoch seconds.
    pub created_at: i64,
    /// The service that it is good for; `None` for all.
    pub service: Option<Uuid>,
    /// The client that it was given to.
    pub credential: Uuid,
    /// How long the access token is good, seconds; 0 for ever.
    pub expires_in: i64,
    /// Who the client's user is.
    pub authenticated_userid: Option<Box<str>>,
    /// What it may do.
    pub scope: Option<Box<str>>,
    /// Whether there is a refresh token.
    pub refreshable: bool,
}

/// A browser's session that is kept here.
#[derive(Clone, Debug)]
pub struct StoredSession {
    /// Its primary key.
    pub id: Uuid,
    /// What the session plugin keeps in it.
    pub data: Secret,
    /// When it ends, epoch seconds.
    pub expires: Option<i64>,
}

impl CaCertificate {
    /// Reads an authority's record.
    ///
    /// # Errors
    /// When the record is not one.
    pub fn parse(record: &Record) -> Result<Self, Mismatch> {
        let read = Read { entity: "ca_certificates", record };
        let der = crate::x509::one(&read.text("cert")?).map_err(|_| read.mismatch("cert"))?;
        Ok(Self { id: read.id()?, der })
    }
}

impl MtlsCredential {
    /// Reads a credential's record.
    ///
    /// # Errors
    /// When the record is not one.
    pub fn parse(record: &Record) -> Result<Self, Mismatch> {
        let read = Read { entity: "mtls_auth_credentials", record };
        Ok(Self {
            id: read.id()?,
            consumer: read.owner("consumer")?,
            subject_name: read.text("subject_name")?,
            ca_certificate: read.reference("ca_certificate")?,
        })
    }
}

impl KeyCredential {
    /// Reads an API key's record.
    ///
    /// # Errors
    /// When the record is not one.
    pub fn parse(record: &Record) -> Result<Self, Mismatch> {
        let read = Read { entity: "keyauth_credentials", record };
        Ok(Self { id: read.id()?, consumer: read.owner("consumer")? })
    }
}

impl Acl {
    /// Reads a group membership's record.
    ///
    /// # Errors
    /// When the record is not one.
    pub fn parse(record: &Record) -> Result<Self, Mismatch> {
        let read = Read { entity: "acls", record };
        Ok(Self { id: read.id()?, consumer: read.owner("consumer")?, group: read.text("group")? })
    }
}

impl Previous {
    /// As it is kept in a record.
    pub fn to_text(secret: &str, until_ms: i64) -> String {
        serde_json::json!({"secret": secret, "until_ms": until_ms}).to_string()
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let secret = Secret::new(value.get("secret")?.as_str()?.to_owned());
        Some(Self { secret, until_ms: value.get("until_ms")?.as_i64()? })
    }
}

impl BasicCredential {
    /// Reads the record of a username and password.
    ///
    /// # Errors
    /// When the record is not one.
    pub fn parse(record: &Record) -> Result<Self, Mismatch> {
        let read = Read { entity: "basicauth_credentials", record };
        Ok(Self {
            id: read.id()?,
            consumer: read.owner("consumer")?,
            username: read.text("username")?,
            password: read.secret("password").ok_or_else(|| read.mismatch("password"))?,
            previous: read.previous(),
        })
    }
}

impl HmacCredential {
    /// Reads the record of a signing secret.
    ///
    /// # Errors
    /// When the record is not one.
    pub fn parse(record: &Record) -> Result<Self, Mismatch> {
        let read = Read { entity: "hmacauth_credentials", record };
        Ok(Self {
            id: read.id()?,
            consumer: read.owner("consumer")?,
            username: read.text("username")?,
            secret: read.secret("secret").ok_or_else(|| read.mismatch("secret"))?,
            previous: read.previous(),
        })
    }
}

impl JwtCredential {
    /// Reads the record of what tokens are signed with.
    ///
    /// # Errors
    /// When the record is not one.
    pub fn parse(record: &Record) -> Result<Self, Mismatch> {
        let read = Read { entity: "jwt_secrets", record };
        Ok(Self {
            id: read.id()?,
            consumer: read.owner("consumer")?,
            key: read.text("key")?,
            secret: read.secret("secret"),
            public_key: read.optional("rsa_public_key"),
            algorithm: read.optional("algorithm").unwrap_or_else(|| "HS256".into()),
            previous: read.previous(),
        })
    }
}

impl OAuth2Client {
    /// Reads a client's record.
    ///
    /// # Errors
    /// When the record is not one.
    pub fn parse(record: &Record) -> Result<Self, Mismatch> {
        let read = Read { entity: "oauth2_credentials", record };
        Ok(Self {
            id: read.id()?,
            consumer: read.owner("consumer")?,
            name: read.text("name")?,
            client_id: read.text("client_id")?,
            client_secret: read.secret("client_secret"),
            hash_secret: read.flag("hash_secret"),
            redirect_uris: read.texts("redirect_uris"),
            public: read.optional("client_type").as_deref() == Some("public"),
            previous: read.previous(),
        })
    }
}

impl OAuth2Token {
    /// Reads a token's record.
    ///
    /// # Errors
    /// When the record is not one.
    pub fn parse(record: &Record) -> Result<Self, Mismatch> {
        let read = Read { entity: "oauth2_tokens", record };
        Ok(Self {
            id: read.id()?,
            created_at: read.number_or("created_at", 0)?,
            service: read.reference("service")?,
            credential: read.owner("credential")?,
            expires_in: read.number("expires_in")?,
            authenticated_userid: read.optional("authenticated_userid"),
            scope: read.optional("scope"),
            refreshable: read.optional("refresh_token").is_some(),
        })
    }
}

impl StoredSession {
    /// Reads a session's record.
    ///
    /// # Errors
    /// When the record is not one.
    pub fn parse(record: &Record) -> Result<Self, Mismatch> {
        let read = Read { entity: "sessions", record };
        Ok(Self {
            id: read.id()?,
            data: read.secret("data").unwrap_or_else(|| Secret::new(String::new())),
            expires: record.get("expires").and_then(Value::as_i64),
        })
    }
}
