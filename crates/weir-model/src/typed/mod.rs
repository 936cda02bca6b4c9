//! Records as values with types, for those who act on them. Parsed once, when a configuration is built.

mod credentials;

use std::time::Duration;

use serde_json::Value;
use weir_mint::{Secret, Uuid};

use crate::Record;
pub use credentials::{
    Acl, BasicCredential, CaCertificate, HmacCredential, JwtCredential, KeyCredential, MtlsCredential,
    OAuth2Client, OAuth2Token, Previous, StoredSession,
};

/// A record that does not hold what its schema promises.
#[derive(Debug, thiserror::Error)]
#[error("{entity} {id}: {field} is not what it must be")]
pub struct Mismatch {
    entity: &'static str,
    id: String,
    field: &'static str,
}

/// A protocol of routes, services and plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Protocol {
    Grpc,
    Grpcs,
    Http,
    Https,
    Tcp,
    Tls,
    TlsPassthrough,
    Udp,
}

impl Protocol {
    /// The protocol of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "grpc" => Self::Grpc,
            "grpcs" => Self::Grpcs,
            "http" => Self::Http,
            "https" => Self::Https,
            "tcp" => Self::Tcp,
            "tls" => Self::Tls,
            "tls_passthrough" => Self::TlsPassthrough,
            "udp" => Self::Udp,
            _ => return None,
        })
    }

    /// Whether it runs over TLS that the gateway ends or begins.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Grpcs | Self::Https | Self::Tls)
    }

    /// The port that goes without saying.
    pub fn default_port(self) -> u16 {
        if self.is_tls() { 443 } else { 80 }
    }
}

/// Where requests are sent.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its primary key.
    pub id: Uuid,
    /// Its name.
    pub name: Option<Box<str>>,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Its host name or address.
    pub host: Box<str>,
    /// Its port.
    pub port: u16,
    /// What paths begin with there.
    pub path: Option<Box<str>>,
    /// How often a failed request is tried again.
    pub retries: u32,
    /// For a connection to come about.
    pub connect_timeout: Duration,
    /// Between two writes.
    pub write_timeout: Duration,
    /// Between two reads.
    pub read_timeout: Duration,
    /// Whether its certificate is verified.
    pub tls_verify: bool,
    /// Whether requests may be sent there at all.
    pub enabled: bool,
}

/// Which requests go to a service.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its primary key.
    pub id: Uuid,
    /// Its name.
    pub name: Option<Box<str>>,
    /// When it was made, epoch seconds.
    pub created_at: i64,
    /// The protocols it listens to.
    pub protocols: Vec<Protocol>,
    /// What a request by plain HTTP is answered when only HTTPS will do.
    pub https_redirect_status_code: u16,
    /// Whether the part of the path that matched is cut off.
    pub strip_path: bool,
    /// Whether the service sees the client's Host.
    pub preserve_host: bool,
    /// Whether a body of unknown length is read before it is sent on.
    pub request_buffering: bool,
    /// The service that requests go to.
    pub service: Option<Uuid>,
    /// Server names of TLS.
    pub snis: Vec<String>,
    /// Methods.
    pub methods: Vec<String>,
    /// Host names.
    pub hosts: Vec<String>,
    /// Path prefixes and patterns.
    pub paths: Vec<String>,
    /// Header fields and the values they may have.
    pub headers: Vec<(String, Vec<String>)>,
    /// Which of two patterns comes first.
    pub regex_priority: i64,
    /// How paths are joined: version 1 instead of version 0.
    pub path_handling_v1: bool,
}

/// Who sends requests.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Its primary key.
    pub id: Uuid,
    /// Its name.
    pub username: Option<Box<str>>,
    /// What another system calls it.
    pub custom_id: Option<Box<str>>,
}

/// What happens to requests, and to which.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// Its primary key.
    pub id: Uuid,
    /// The kind of plugin.
    pub name: Box<str>,
    /// Only for this route.
    pub route: Option<Uuid>,
    /// Only for this service.
    pub service: Option<Uuid>,
    /// Only for this consumer.
    pub consumer: Option<Uuid>,
    /// Its configuration.
    pub config: Value,
    /// The protocols it applies to.
    pub protocols: Vec<Protocol>,
    /// Whether it is on.
    pub enabled: bool,
}

impl Service {
    /// Reads a service's record.
    ///
    /// # Errors
    /// When the record is not one.
    pub fn parse(record: &Record) -> Result<Self, Mismatch> {
        let read = Read { entity: "services", record };
        let protocol = read.text("protocol")?;
        Ok(Self {
            id: read.id()?,
            name: read.optional("name"),
            protocol: Protocol::parse(&protocol).ok_or_else(|| read.mismatch("protocol"))?,
            host: read.text("host")?,
            port: read.number("port")?,
            path: read.optional("path"),
            // A service may have any of these set to null; it then gets what it would have had by default.
            retries: read.number_or("retries", 5)?,
            connect_timeout: read.milliseconds("connect_timeout")?,
            write_timeout: read.milliseconds("write_timeout")?,
            read_timeout: read.milliseconds("read_timeout")?,
            tls_verify: read.flag("tls_verify"),
            enabled: read.flag("enabled"),
        })
    }
}

impl Route {
    /// Reads a route's record.
    ///
    /// # Errors
    /// When the record is not one.
    pub fn parse(record: &Record) -> Result<Self, Mismatch> {
        let read = Read { entity: "routes", record };
        let headers = record
            .get("headers")
            .and_then(Value::as_object)
            .map(|map| map.iter().map(|(name, values)| (name.clone(), texts(values))).collect());
        Ok(Self {
            id: read.id()?,
            name: read.optional("name"),
            created_at: read.number_or("created_at", 0)?,
            protocols: read.protocols()?,
            https_redirect_status_code: read.number("https_redirect_status_code")?,
            strip_path: read.flag("strip_path"),
            preserve_host: read.flag("preserve_host"),
            request_buffering: read.flag("request_buffering"),
            service: read.reference("service")?,
            snis: read.texts("snis"),
            methods: read.texts("methods"),
            hosts: read.texts("hosts"),
            paths: read.texts("paths"),
            headers: headers.unwrap_or_default(),
            regex_priority: read.number_or("regex_priority", 0)?,
            path_handling_v1: read.optional("path_handling").as_deref() == Some("v1"),
        })
    }
}

impl Consumer {
    /// Reads a consumer's record.
    ///
    /// # Errors
    /// When the record is not one.
    pub fn parse(record: &Record) -> Result<Self, Mismatch> {
        let read = Read { entity: "consumers", record };
        Ok(Self {
            id: read.id()?,
            username: read.optional("username"),
            custom_id: read.optional("custom_id"),
        })
    }
}

impl Plugin {
    /// Reads a plugin's record.
    ///
    /// # Errors
    /// When the record is not one.
    pub fn parse(record: &Record) -> Result<Self, Mismatch> {
        let read = Read { entity: "plugins", record };
        Ok(Self {
            id: read.id()?,
            name: read.text("name")?,
            route: read.reference("route")?,
            service: read.reference("service")?,
            consumer: read.reference("consumer")?,
            config: record.get("config").cloned().unwrap_or_default(),
            protocols: read.protocols()?,
            enabled: read.flag("enabled"),
        })
    }
}

/// Reads the fields of one record.
struct Read<'a> {
    entity: &'static str,
    record: &'a Record,
}

impl Read<'_> {
    fn mismatch(&self, field: &'static str) -> Mismatch {
        let id = self.record.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        Mismatch { entity: self.entity, id, field }
    }

    fn id(&self) -> Result<Uuid, Mismatch> {
        self.text("id")?.parse().map_err(|_| self.mismatch("id"))
    }

    fn text(&self, field: &'static str) -> Result<Box<str>, Mismatch> {
        self.optional(field).ok_or_else(|| self.mismatch(field))
    }

    fn optional(&self, field: &str) -> Option<Box<str>> {
        self.record.get(field).and_then(Value::as_str).map(Into::into)
    }

    fn secret(&self, field: &str) -> Option<Secret> {
        self.record.get(field).and_then(Value::as_str).map(|text| Secret::new(text.to_owned()))
    }

    fn previous(&self) -> Option<Previous> {
        self.record.get("previous").and_then(Value::as_str).and_then(Previous::parse)
    }

    fn owner(&self, field: &'static str) -> Result<Uuid, Mismatch> {
        self.reference(field)?.ok_or_else(|| self.mismatch(field))
    }

    fn texts(&self, field: &str) -> Vec<String> {
        self.record.get(field).map(texts).unwrap_or_default()
    }

    fn flag(&self, field: &str) -> bool {
        self.record.get(field).and_then(Value::as_bool).unwrap_or(false)
    }

    fn number<T: TryFrom<i64>>(&self, field: &'static str) -> Result<T, Mismatch> {
        let number = self.record.get(field).and_then(Value::as_i64).and_then(|n| T::try_from(n).ok());
        number.ok_or_else(|| self.mismatch(field))
    }

    fn number_or<T: TryFrom<i64>>(&self, field: &'static str, default: T) -> Result<T, Mismatch> {
        match self.record.get(field) {
            None | Some(Value::Null) => Ok(default),
            Some(_) => self.number(field),
        }
    }

    fn milliseconds(&self, field: &'static str) -> Result<Duration, Mismatch> {
        Ok(Duration::from_millis(self.number_or::<u64>(field, 60_000)?))
    }

    fn protocols(&self) -> Result<Vec<Protocol>, Mismatch> {
        let names = self.texts("protocols");
        names.iter().map(|name| Protocol::parse(name).ok_or_else(|| self.mismatch("protocols"))).collect()
    }

    fn reference(&self, field: &'static str) -> Result<Option<Uuid>, Mismatch> {
        match self.record.get(field).and_then(|value| value.get("id")).and_then(Value::as_str) {
            None => Ok(None),
            Some(id) => id.parse().map(Some).map_err(|_| self.mismatch(field)),
        }
    }
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
