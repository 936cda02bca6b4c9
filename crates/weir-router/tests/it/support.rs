//! Routes and requests, written shortly.

use weir_router::{Criteria, Error, Protocol, Request, RouteId, Spec};

/// A route as configuration would have it, and the letter it is known by.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) name: &'static str,
    pub(crate) id: RouteId,
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) methods: Vec<String>,
    pub(crate) hosts: Vec<String>,
    pub(crate) paths: Vec<String>,
    pub(crate) headers: Vec<(String, Vec<String>)>,
    pub(crate) snis: Vec<String>,
    pub(crate) regex_priority: i64,
}

/// A route of this name, with an id made from it.
pub(crate) fn route(name: &'static str) -> Route {
    let mut id = [0; 16];
    id.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    Route {
        name,
        id,
        protocols: vec![Protocol::Http, Protocol::Https],
        methods: vec![],
        hosts: vec![],
        paths: vec![],
        headers: vec![],
        snis: vec![],
        regex_priority: 0,
    }
}

impl Route {
    pub(crate) fn id(mut self, first_byte: u8) -> Self {
        self.id = [0; 16];
        self.id[0] = first_byte;
        self
    }

    pub(crate) fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocols = vec![protocol];
        self
    }

    pub(crate) fn method(mut self, method: &str) -> Self {
        self.methods.push(method.to_owned());
        self
    }

    pub(crate) fn host(mut self, host: &str) -> Self {
        self.hosts.push(host.to_owned());
        self
    }

    pub(crate) fn path(mut self, path: &str) -> Self {
        self.paths.push(path.to_owned());
        self
    }

    pub(crate) fn header(mut self, name: &str, values: &[&str]) -> Self {
        self.headers.push((name.to_owned(), values.iter().map(|value| (*value).to_owned()).collect()));
        self
    }

    pub(crate) fn sni(mut self, sni: &str) -> Self {
        self.snis.push(sni.to_owned());
        self
    }

    pub(crate) fn regex_priority(mut self, priority: i64) -> Self {
        self.regex_priority = priority;
        self
    }

    pub(crate) fn parse(&self) -> Result<Criteria, Error> {
        Criteria::parse(&Spec {
            id: self.id,
            protocols: self.protocols.iter().copied().collect(),
            methods: &self.methods,
            hosts: &self.hosts,
            paths: &self.paths,
            headers: self.headers.iter().map(|(name, values)| (name.as_str(), values.as_slice())).collect(),
            snis: &self.snis,
            regex_priority: self.regex_priority,
        })
    }

    pub(crate) fn criteria(&self) -> Criteria {
        self.parse().unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }
}

/// A request that owns its parts.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) path: String,
    pub(crate) tls: bool,
    pub(crate) sni: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
}

/// A request with this method and path.
pub(crate) fn call(method: &str, path: &str) -> Call {
    Call {
        method: method.to_owned(),
        host: String::new(),
        port: 8000,
        path: path.to_owned(),
        tls: false,
        sni: None,
        headers: vec![],
    }
}

pub(crate) fn get(path: &str) -> Call {
    call("GET", path)
}

impl Call {
    /// Takes the value of a Host header.
    pub(crate) fn host(mut self, authority: &str) -> Self {
        let (host, port) = weir_router::split_port(authority).unwrap();
        self.host = host.to_owned();
        self.port = port.unwrap_or(self.port);
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn tls(mut self, sni: &str) -> Self {
        self.tls = true;
        self.sni = Some(sni.to_owned());
        self
    }

    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            method: &self.method,
            host: &self.host,
            port: self.port,
            path: &self.path,
            tls: self.tls,
            sni: self.sni.as_deref(),
            headers: &self.headers,
        }
    }
}
