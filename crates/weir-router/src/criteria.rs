//! What a route asks of a request, read from configuration once and valid from then on.

use crate::error::{Error, Field, Reason};
use crate::header::HeaderRule;
use crate::method::Methods;
use crate::name::{Host, Name};
use crate::path::normalize;
use crate::pattern::Pattern;
use crate::protocol::Protocols;
use crate::rank::{Merits, PathMerit, Rank};

/// A route's id, a UUID's bytes. Of two routes that rank alike, the one with the greater id is taken.
pub type RouteId = [u8; 16];

/// A route's criteria as configuration has them. An empty list asks for nothing.
#[derive(Debug, Clone)]
pub struct Spec<'a, S = String> {
    /// The route's id.
    pub id: RouteId,
    /// The protocols that the route is for. They take no part in matching, but a route for none of HTTP's is never found.
    pub protocols: Protocols,
    /// Methods, compared with regard to case.
    pub methods: &'a [S],
    /// Host names: `a.test`, `*.a.test`, `a.*`, each with `:port` if it is for that port alone.
    pub hosts: &'a [S],
    /// Path prefixes, or after `~` regular expressions anchored at the start.
    pub paths: &'a [S],
    /// Names of headers and their values, of which any will do; after `~*` regular expressions.
    pub headers: Vec<(&'a str, &'a [S])>,
    /// Names of TLS servers, wildcards as in hosts. They count for requests over TLS alone.
    pub snis: &'a [S],
    /// The precedence among paths that are regular expressions.
    pub regex_priority: i64,
}

impl<S> Spec<'_, S> {
    /// A route for the web that asks for nothing yet.
    pub fn new(id: RouteId) -> Self {
        Spec {
            id,
            protocols: Protocols::WEB,
            methods: &[],
            hosts: &[],
            paths: &[],
            headers: Vec::new(),
            snis: &[],
            regex_priority: 0,
        }
    }
}

/// A route's criteria, valid and ready to be inserted into a [`crate::Router`].
#[derive(Debug, Clone)]
pub struct Criteria {
    pub(crate) id: RouteId,
    pub(crate) protocols: Protocols,
    pub(crate) methods: Methods,
    pub(crate) hosts: Box<[Host]>,
    pub(crate) paths: Box<[PathRule]>,
    pub(crate) headers: Box<[HeaderRule]>,
    pub(crate) snis: Box<[Name]>,
    regex_priority: i64,
}

/// A path that a route asks for.
#[derive(Debug, Clone)]
pub(crate) enum PathRule {
    /// In normal form.
    Prefix(Box<str>),
    Regex(Pattern),
}

impl Criteria {
    /// Reads criteria. The first value that is unusable is the error.
    pub fn parse<S: AsRef<str>>(spec: &Spec<'_, S>) -> Result<Criteria, Error> {
        let mut methods = Methods::default();
        each(spec.methods, Field::Methods, |method| methods.push(method))?;
        let mut hosts = each(spec.hosts, Field::Hosts, Host::parse)?;
        hosts.sort();
        hosts.dedup();
        let mut snis = each(spec.snis, Field::Snis, Name::parse_sni)?;
        snis.sort();
        snis.dedup();
        let paths = each(spec.paths, Field::Paths, PathRule::parse)?;
        let headers: Result<Vec<_>, _> =
            spec.headers.iter().map(|(name, values)| HeaderRule::parse(name, values)).collect();
        let criteria = Criteria {
            id: spec.id,
            protocols: spec.protocols,
            methods,
            hosts: hosts.into(),
            paths: paths.into(),
            headers: headers?.into(),
            snis: snis.into(),
            regex_priority: spec.regex_priority,
        };
        match criteria.kinds() {
            0 if spec.protocols.any_http() => Err(Error::NoCriteria),
            _ => Ok(criteria),
        }
    }

    /// The route's id.
    pub fn id(&self) -> RouteId {
        self.id
    }

    /// The protocols that the route is for.
    pub fn protocols(&self) -> Protocols {
        self.protocols
    }

    /// The route's precedence at one of its paths, or at none if it asks for none.
    pub(crate) fn rank(&self, path: Option<&PathRule>) -> Rank {
        let merits = Merits {
            kinds: self.kinds(),
            plain_hosts: !self.hosts.is_empty() && !self.hosts.iter().any(|host| host.name.is_wild()),
            headers: self.headers.len(),
            plain_snis: !self.snis.is_empty() && !self.snis.iter().any(Name::is_wild),
        };
        let path = match path {
            None => PathMerit::None,
            Some(PathRule::Prefix(prefix)) => PathMerit::Prefix { length: prefix.len() },
            Some(PathRule::Regex(_)) => PathMerit::Regex { priority: self.regex_priority },
        };
        Rank::new(merits, path)
    }

    /// How many kinds of criteria are set.
    fn kinds(&self) -> u8 {
        let set = [
            self.methods.bits() != 0,
            !self.hosts.is_empty(),
            !self.paths.is_empty(),
            !self.headers.is_empty(),
            !self.snis.is_empty(),
        ];
        set.into_iter().map(u8::from).sum()
    }
}

impl PathRule {
    fn parse(path: &str) -> Result<PathRule, Reason> {
        match path.strip_prefix('~') {
            _ if path.is_empty() => Err(Reason::Empty),
            Some(pattern) if pattern.starts_with('/') => Pattern::of_path(pattern).map(PathRule::Regex),
            None if path.starts_with('/') => {
                let prefix = normalize(path.as_bytes()).map_err(Reason::Path)?;
                Ok(PathRule::Prefix(prefix.into()))
            }
            _ => Err(Reason::PathStart),
        }
    }

    /// What every path that matches begins with.
    pub(crate) fn literal(&self) -> &str {
        match self {
            PathRule::Prefix(prefix) => prefix,
            PathRule::Regex(pattern) => &pattern.literal,
        }
    }

    pub(crate) fn is_regex(&self) -> bool {
        matches!(self, PathRule::Regex(_))
    }

    /// The part that must be compiled.
    pub(crate) fn pattern(&self) -> Option<&str> {
        match self {
            PathRule::Prefix(_) => None,
            PathRule::Regex(pattern) => pattern.rest.as_deref(),
        }
    }
}

/// Reads each value of a field, and says which one could not be read.
fn each<S: AsRef<str>, R>(
    values: &[S],
    field: Field,
    mut read: impl FnMut(&str) -> Result<R, Reason>,
) -> Result<Vec<R>, Error> {
    let read = |(index, value): (usize, &S)| {
        let value = value.as_ref();
        read(value).map_err(|reason| Error::Invalid {
            field: field.clone(),
            index: Some(index),
            value: value.to_owned(),
            reason,
        })
    };
    values.iter().enumerate().map(read).collect()
}
