//! The configuration of a gateway: `weir.conf`, the environment over it, flags over both.
//!
//! [`keys`] is the one list of what can be configured. Reading has no side effects: [`Config::load`] gives values of the
//! right types or a sentence that says what is wrong, where, and what was probably meant.

pub(crate) mod file;
pub(crate) mod keys;
mod listen;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use weir_mint::{Secret, scannable};
use weir_plugins::auth::Lockout;
use weir_proxy::{HeaderSettings, Keepalive, Listen, Settings, Templates, Timeouts};
use weir_store::SecretsAtRest;

use keys::Key;

/// Something wrong with a configuration. The operator's fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A file cannot be read.
    #[error("{path}: {why}")]
    File { path: String, why: std::io::Error },
    /// A line is not `key = value`.
    #[error("{path}, line {line}: {why}")]
    Line { path: String, line: usize, why: &'static str },
    /// There is no such key.
    #[error("{place}: there is no key '{key}'{}", .meant.map(|meant| format!("; did you mean '{meant}'?")).unwrap_or_default())]
    Unknown { place: String, key: String, meant: Option<&'static str> },
    /// A value is no good.
    #[error("{place}: {key}: {why}")]
    Value { place: String, key: &'static str, why: String },
}

/// Who may use the Admin API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdminAuth {
    /// Nobody needs to show anything on loopback; elsewhere a token, or a certificate if authorities are given.
    Auto,
    /// A token, everywhere.
    Token,
    /// Nothing is asked for: only on loopback.
    Off,
}

/// A gateway's configuration.
pub(crate) struct Config {
    pub(crate) prefix: PathBuf,
    pub(crate) proxy_listen: Vec<Listen>,
    pub(crate) admin_listen: Vec<Listen>,
    pub(crate) status_listen: Vec<Listen>,
    pub(crate) admin_auth: AdminAuth,
    pub(crate) admin_token: Option<Secret>,
    pub(crate) admin_client_ca: Option<PathBuf>,
    pub(crate) admin_hosts: Vec<String>,
    pub(crate) admin_origins: Vec<String>,
    pub(crate) secrets_at_rest: SecretsAtRest,
    pub(crate) lockout: Lockout,
    pub(crate) api_key_kind: Option<scannable::Kind>,
    pub(crate) log_level: String,
    pub(crate) plugins: Vec<String>,
    pub(crate) workers: usize,
    pub(crate) certificate: Option<(PathBuf, PathBuf)>,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) settings: Settings,
    /// What was accepted and has no effect, with why: for the log.
    pub(crate) notices: Vec<String>,
}

/// Where values come from, besides their defaults.
pub(crate) struct Sources<'a> {
    /// The file, if one is named. Else `weir.conf` here or in `/etc/weir`, if there is one.
    pub(crate) file: Option<&'a Path>,
    /// The prefix that a flag names.
    pub(crate) prefix: Option<&'a Path>,
    /// The environment.
    pub(crate) environment: Vec<(String, String)>,
}

/// Where a configuration is looked for when none is named.
const USUAL_FILES: [&str; 2] = ["weir.conf", "/etc/weir/weir.conf"];

impl Config {
    /// Reads the configuration as far as it can be read: where a value is wrong, the default stands in for it. Nothing
    /// may be started with it unless the list of problems is empty.
    pub(crate) fn examine(sources: &Sources<'_>) -> (Option<Self>, Vec<ConfigError>) {
        let mut values = Values::default();
        let file = sources.file.map(Path::to_path_buf);
        let file = file.or_else(|| USUAL_FILES.iter().map(PathBuf::from).find(|path| path.is_file()));
        if let Some(path) = &file {
            values.read_file(path);
        }
        values.read_environment(&sources.environment);
        if let Some(prefix) = sources.prefix {
            values.set("prefix", "--prefix".to_owned(), prefix.display().to_string());
        }
        loop {
            match values.build() {
                Ok(config) => return (Some(config), values.problems),
                Err(problem) => {
                    // Without the wrong value the rest can be looked at.
                    let gone = match &problem {
                        ConfigError::Value { key, .. } => values.written.remove(key),
                        _ => None,
                    };
                    values.problems.push(problem);
                    if gone.is_none() {
                        return (None, values.problems);
                    }
                }
            }
        }
    }
}

/// A value as it was written, and where.
struct Written {
    place: String,
    text: String,
}

/// Values as they were written, by key.
#[derive(Default)]
struct Values {
    written: BTreeMap<&'static str, Written>,
    notices: Vec<String>,
    problems: Vec<ConfigError>,
}

impl Values {
    fn set(&mut self, key: &'static str, place: String, text: String) {
        self.written.insert(key, Written { place, text });
    }

    fn read_file(&mut self, path: &Path) {
        let shown = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(why) => return self.problems.push(ConfigError::File { path: shown, why }),
        };
        let (lines, bad) = file::parse(&text);
        let bad = bad.into_iter().map(|(line, why)| ConfigError::Line { path: shown.clone(), line, why });
        self.problems.extend(bad);
        for entry in lines {
            let place = format!("{shown}, line {}", entry.line);
            match keys::find(&entry.key) {
                Key::Ours(definition) => self.set(definition.name, place, entry.value),
                Key::KongsOnly => {
                    self.notice_kongs(&format!("{place}: '{}'", entry.key), &entry.key, &entry.value)
                }
                Key::Unknown(meant) => {
                    self.problems.push(ConfigError::Unknown { place, key: entry.key, meant })
                }
            }
        }
    }

    /// Notes a key that only Kong has.
    fn notice_kongs(&mut self, shown: &str, key: &str, value: &str) {
        self.notices.push(match keys::instead(key, value) {
            Some(instead) => format!("{shown} has no effect here, though it has in Kong: {instead}"),
            None => format!("{shown} is Kong's and has no meaning here"),
        });
    }

    /// Takes `WEIR_…`, and `KONG_…` where there is no `WEIR_…`. Other programs set variables too, so one that means
    /// nothing is told of and not refused.
    fn read_environment(&mut self, environment: &[(String, String)]) {
        for prefix in ["KONG_", "WEIR_"] {
            for (name, value) in environment {
                let Some(key) = name.strip_prefix(prefix) else { continue };
                let lower = key.to_ascii_lowercase();
                match keys::find(&lower) {
                    Key::Ours(definition) => {
                        if prefix == "KONG_" {
                            let say =
                                format!("{name} is taken for WEIR_{key}: Kong's variables are understood");
                            self.notices.push(say);
                        }
                        self.set(definition.name, name.clone(), value.clone());
                    }
                    Key::KongsOnly => self.notice_kongs(name, &lower, value),
                    Key::Unknown(Some(meant)) if prefix == "WEIR_" => {
                        let meant = meant.to_ascii_uppercase();
                        self.notices.push(format!("{name} means nothing; did you mean WEIR_{meant}?"));
                    }
                    Key::Unknown(_) if prefix == "WEIR_" => {
                        self.notices.push(format!("{name} means nothing"))
                    }
                    Key::Unknown(_) => {}
                }
            }
        }
    }

    /// The text of a key: as written, or its default.
    fn text(&self, key: &'static str) -> &str {
        match self.written.get(key) {
            Some(written) => &written.text,
            None => keys::definition(key).default,
        }
    }

    fn place(&self, key: &'static str) -> String {
        self.written.get(key).map_or_else(|| "the default".to_owned(), |written| written.place.clone())
    }

    fn wrong(&self, key: &'static str, why: impl Into<String>) -> ConfigError {
        ConfigError::Value { place: self.place(key), key, why: why.into() }
    }

    fn parsed<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        parse(self.text(key).trim()).map_err(|why| self.wrong(key, why))
    }

    fn list(&self, key: &'static str) -> Vec<String> {
        self.text(key).split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    fn path(&self, key: &'static str) -> Option<PathBuf> {
        let text = self.text(key).trim();
        (!text.is_empty()).then(|| PathBuf::from(text))
    }

    fn switch(&self, key: &'static str) -> Result<bool, ConfigError> {
        self.parsed(key, |text| match text {
            "on" | "true" => Ok(true),
            "off" | "false" => Ok(false),
            other => Err(format!("'{other}' is neither on nor off")),
        })
    }

    fn seconds(&self, key: &'static str) -> Result<Duration, ConfigError> {
        self.parsed(key, |text| {
            let text = text.strip_suffix('s').unwrap_or(text);
            let seconds: f64 = text.parse().map_err(|_| format!("'{text}' is no number of seconds"))?;
            Duration::try_from_secs_f64(seconds).map_err(|_| format!("'{text}' is no number of seconds"))
        })
    }

    fn number<T: std::str::FromStr>(&self, key: &'static str) -> Result<T, ConfigError> {
        self.parsed(key, |text| text.parse().map_err(|_| format!("'{text}' is no number that fits")))
    }

    /// The configuration that the values make, or the first that is wrong.
    fn build(&self) -> Result<Config, ConfigError> {
        self.parsed("database", |text| match text {
            "sqlite" => Ok(()),
            "postgres" | "off" => Err(format!("'{text}' is not in this version; 'sqlite' is")),
            other => Err(format!("'{other}' is no database that Weir knows; 'sqlite' is")),
        })?;
        self.parsed("router_flavor", |text| match text {
            "traditional_compatible" | "traditional" => Ok(()),
            "expressions" => {
                Err("'expressions' is not in this version; 'traditional_compatible' is".to_owned())
            }
            other => Err(format!("'{other}' is no flavour that Weir knows; 'traditional_compatible' is")),
        })?;
        let certificate = match (self.path("ssl_cert"), self.path("ssl_cert_key")) {
            (Some(chain), Some(key)) => Some((chain, key)),
            (None, None) => None,
            (Some(_), None) => return Err(self.wrong("ssl_cert", "it needs ssl_cert_key beside it")),
            (None, Some(_)) => return Err(self.wrong("ssl_cert_key", "it needs ssl_cert beside it")),
        };
        let token = self.text("admin_token").trim().to_owned();
        let settings = self.settings()?;
        Ok(Config {
            prefix: PathBuf::from(self.text("prefix").trim()),
            proxy_listen: self.parsed("proxy_listen", listen::parse)?,
            admin_listen: self.parsed("admin_listen", listen::parse)?,
            status_listen: self.parsed("status_listen", listen::parse)?,
            admin_auth: self.parsed("admin_auth", |text| match text {
                "auto" => Ok(AdminAuth::Auto),
                "token" => Ok(AdminAuth::Token),
                "off" => Ok(AdminAuth::Off),
                other => Err(format!("'{other}' is none of auto, token, off")),
            })?,
            admin_token: (!token.is_empty()).then(|| Secret::from(token)),
            admin_client_ca: self.path("admin_client_ca"),
            admin_hosts: self.list("admin_hosts"),
            admin_origins: self.list("admin_origins"),
            secrets_at_rest: self.parsed("secrets_at_rest", |text| match text {
                "encrypted" => Ok(SecretsAtRest::Encrypted),
                "digest" => Ok(SecretsAtRest::Digest),
                "plain" => Ok(SecretsAtRest::Plain),
                other => Err(format!("'{other}' is none of encrypted, digest, plain")),
            })?,
            api_key_kind: self.parsed("api_key_kind", |text| match text {
                "" => Ok(None),
                kind => scannable::Kind::new(kind).map(Some).map_err(|error| error.to_string()),
            })?,
            lockout: Lockout {
                attempts: self.number("auth_lockout_attempts")?,
                window: self.seconds("auth_lockout_window")?,
                duration: self.seconds("auth_lockout_duration")?,
            },
            log_level: self.parsed("log_level", |text| match crate::gateway::log::level(text) {
                Some(_) => Ok(text.to_owned()),
                None => Err(format!("'{text}' is none of debug, info, notice, warn, error, crit")),
            })?,
            plugins: self.list("plugins"),
            workers: self.parsed("nginx_worker_processes", |text| match text {
                "auto" => Ok(std::thread::available_parallelism().map_or(1, std::num::NonZero::get)),
                text => match text.parse() {
                    Ok(count @ 1..=1024) => Ok(count),
                    _ => Err(format!("'{text}' is neither auto nor a number from 1 to 1024")),
                },
            })?,
            certificate,
            shutdown_timeout: self.seconds("shutdown_timeout")?,
            settings,
            notices: self.notices.iter().cloned().chain(self.deaf_listeners()?).collect(),
        })
    }

    /// Notes listeners that are asked to speak what they do not.
    fn deaf_listeners(&self) -> Result<Vec<String>, ConfigError> {
        let mut notices = Vec::new();
        for key in ["admin_listen", "status_listen"] {
            if self.parsed(key, listen::parse)?.iter().any(|listen| listen.http2) {
                let place = self.place(key);
                notices.push(format!("{place}: {key}: 'http2' has no effect: HTTP/1.1 is spoken there"));
            }
        }
        Ok(notices)
    }

    fn settings(&self) -> Result<Settings, ConfigError> {
        let trusted: Result<Vec<IpNet>, ConfigError> =
            self.list("trusted_ips").iter().map(|text| self.network(text)).collect();
        Ok(Settings {
            headers: self.headers()?,
            trusted: trusted?,
            real_ip_header: self.text("real_ip_header").trim().to_owned(),
            real_ip_recursive: self.switch("real_ip_recursive")?,
            templates: Templates {
                html: self.template("error_template_html")?,
                json: self.template("error_template_json")?,
                xml: self.template("error_template_xml")?,
                plain: self.template("error_template_plain")?,
            },
            timeouts: Timeouts {
                keepalive: self.seconds("client_keepalive_timeout")?,
                head: self.seconds("client_header_timeout")?,
                body: self.seconds("client_body_timeout")?,
                send: self.seconds("send_timeout")?,
                ..Timeouts::default()
            },
            max_body: self.parsed("client_max_body_size", size)?,
            body_buffer: self.parsed("client_body_buffer_size", |text| {
                usize::try_from(size(text)?).map_err(|error| error.to_string())
            })?,
            keepalive: Keepalive {
                pool_size: self.number("upstream_keepalive_pool_size")?,
                max_requests: match self.number("upstream_keepalive_max_requests")? {
                    0 => u32::MAX,
                    limit => limit,
                },
                idle: self.seconds("upstream_keepalive_idle_timeout")?,
            },
        })
    }

    fn network(&self, text: &str) -> Result<IpNet, ConfigError> {
        let single = || text.parse::<IpAddr>().map(IpNet::from).ok();
        let network = text.parse::<IpNet>().ok().or_else(single);
        network.ok_or_else(|| self.wrong("trusted_ips", format!("'{text}' is no address and no network")))
    }

    fn headers(&self) -> Result<HeaderSettings, ConfigError> {
        let none = HeaderSettings {
            server: false,
            via: false,
            upstream_latency: false,
            proxy_latency: false,
            response_latency: false,
            upstream_status: false,
            request_id: false,
            request_id_upstream: false,
        };
        let mut headers = none;
        for name in self.list("headers") {
            match name.to_ascii_lowercase().as_str() {
                "off" => {}
                "server_tokens" => (headers.server, headers.via) = (true, true),
                "latency_tokens" => {
                    headers.upstream_latency = true;
                    headers.proxy_latency = true;
                    headers.response_latency = true;
                }
                "server" => headers.server = true,
                "via" => headers.via = true,
                "x-kong-upstream-latency" => headers.upstream_latency = true,
                "x-kong-proxy-latency" => headers.proxy_latency = true,
                "x-kong-response-latency" => headers.response_latency = true,
                "x-kong-upstream-status" => headers.upstream_status = true,
                "x-kong-request-id" => headers.request_id = true,
                // Only Kong's Admin API has a latency field that can be turned off.
                "x-kong-admin-latency" => {}
                _ => return Err(self.wrong("headers", format!("there is no header '{name}' to be shown"))),
            }
        }
        for name in self.list("headers_upstream") {
            match name.to_ascii_lowercase().as_str() {
                "off" => {}
                "x-kong-request-id" => headers.request_id_upstream = true,
                _ => {
                    return Err(
                        self.wrong("headers_upstream", format!("there is no header '{name}' to be sent"))
                    );
                }
            }
        }
        Ok(headers)
    }

    fn template(&self, key: &'static str) -> Result<Option<String>, ConfigError> {
        let Some(path) = self.path(key) else { return Ok(None) };
        std::fs::read_to_string(&path)
            .map(Some)
            .map_err(|error| self.wrong(key, format!("{}: {error}", path.display())))
    }
}

/// A size as nginx writes it: `8k`, `1m`, `0`.
fn size(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let (digits, factor) = match lower.strip_suffix(['k', 'm', 'g']) {
        Some(digits) if lower.ends_with('k') => (digits, 1 << 10),
        Some(digits) if lower.ends_with('m') => (digits, 1 << 20),
        Some(digits) => (digits, 1 << 30),
        None => (lower.as_str(), 1u64),
    };
    let count: u64 = digits.parse().map_err(|_| format!("'{text}' is no size such as 8k, 1m or 0"))?;
    count.checked_mul(factor).ok_or_else(|| format!("'{text}' is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weir.conf");
        std::fs::write(&path, file).unwrap();
        let environment = environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let sources = Sources { file: Some(&path), prefix: None, environment };
        let shown = path.display().to_string();
        match Config::examine(&sources) {
            (Some(config), problems) if problems.is_empty() => Ok(config),
            (_, problems) => {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                Err(lines.join("\n").replace(&shown, "FILE"))
            }
        }
    }

    #[test]
    fn defaults_listen_on_loopback_alone() {
        let config = load("", &[]).unwrap();
        let all = [&config.proxy_listen, &config.admin_listen, &config.status_listen];
        assert!(all.iter().all(|list| !list.is_empty()));
        assert!(all.iter().copied().flatten().all(|listen| listen.address.ip().is_loopback()));
        assert!(config.notices.is_empty());
    }

    #[test]
    fn the_environment_goes_over_the_file() {
        let file = "proxy_listen = off # none\nlog_level = debug\n";
        let config = load(file, &[("WEIR_LOG_LEVEL", "warn"), ("KONG_LOG_LEVEL", "error")]).unwrap();
        assert_eq!(config.log_level, "warn");
        assert!(config.proxy_listen.is_empty());
        assert_eq!(
            config.notices,
            ["KONG_LOG_LEVEL is taken for WEIR_LOG_LEVEL: Kong's variables are understood"]
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let wrong = |file: &str| load(file, &[]).err().unwrap();
        assert_eq!(
            wrong("proxy_listn = off"),
            "FILE, line 1: there is no key 'proxy_listn'; did you mean 'proxy_listen'?"
        );
        assert_eq!(wrong("\nxyzzy = 1"), "FILE, line 2: there is no key 'xyzzy'");
        assert_eq!(wrong("prefix"), "FILE, line 1: it is not 'key = value'");
        assert_eq!(
            wrong("trusted_ips = 10.0.0.0/8, nonsense"),
            "FILE, line 1: trusted_ips: 'nonsense' is no address and no network"
        );
        assert!(wrong("proxy_listen = 8000").starts_with("FILE, line 1: proxy_listen: "));
        assert!(wrong("database = postgres").contains("is not in this version"));
        assert!(wrong("headers = x-nope").contains("there is no header 'x-nope'"));
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let file = "proxy_listn = off\nnonsense\nlog_level = loud\nworkers = 0\nssl_cert = a.pem\n";
        let said = load(file, &[]).err().unwrap();
        let mut lines: Vec<&str> = said.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines.len(), 5, "{said}");
        for (at, line) in (1..).zip(lines) {
            assert!(line.starts_with(&format!("FILE, line {at}: ")), "{said}");
        }
    }

    #[test]
    fn what_kong_would_have_done_is_told_of() {
        let file = "stream_listen = 127.0.0.1:9000\nadmin_listen = 127.0.0.1:8444 http2 ssl\nrouter_flavor = traditional\n";
        let notices = load(file, &[("KONG_LUA_SSL_TRUSTED_CERTIFICATE", "/ca.pem")]).unwrap().notices;
        let [stream, trusted, http2] = &notices[..] else { panic!("{notices:?}") };
        assert!(stream.contains("line 1: 'stream_listen' has no effect here"), "{stream}");
        assert!(trusted.starts_with("KONG_LUA_SSL_TRUSTED_CERTIFICATE has no effect here"), "{trusted}");
        assert!(http2.contains("line 2: admin_listen: 'http2' has no effect"), "{http2}");
        assert!(load("stream_listen = off", &[]).unwrap().notices[0].contains("has no meaning here"));
        assert!(load("router_flavor = expressions", &[]).err().unwrap().contains("is not in this version"));
        let config = load("nginx_proxy_real_ip_header = X-Client", &[]).unwrap();
        assert_eq!(config.settings.real_ip_header, "X-Client");
    }

    #[test]
    fn keys_of_kong_alone_are_told_of() {
        let config = load("lua_socket_pool_size = 30\npg_host = db\n", &[]).unwrap();
        assert_eq!(config.notices.len(), 2);
        assert!(config.notices[0].contains("'lua_socket_pool_size' is Kong's and has no meaning here"));
    }

    #[test]
    fn sizes_and_headers() {
        assert_eq!(size("8k"), Ok(8192));
        assert_eq!(size("0"), Ok(0));
        assert!(size("1x").is_err() && size("99999999999g").is_err());
        let config = load("headers = Via, X-Kong-Request-Id\nclient_max_body_size = 1m", &[]).unwrap();
        assert!(config.settings.headers.via && config.settings.headers.request_id);
        assert!(!config.settings.headers.server && !config.settings.headers.proxy_latency);
        assert_eq!(config.settings.max_body, 1 << 20);
    }
}
