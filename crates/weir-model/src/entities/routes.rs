//! Routes: which requests go to which service. Their rules differ by family of protocols.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{Audit, Entity, Rotation};
use crate::errors::Errors;
use crate::lua;
use crate::schema::types::{self, PROTOCOLS, as_text};
use crate::schema::{
    Condition, Conditional, EntityCheck, Field, Fields, Record, Rule, Schema, Variant, array, boolean,
    foreign, integer, map, record, set, string, text,
};

pub(super) fn entity() -> Entity {
    Entity {
        name: "routes",
        path: Some("routes"),
        singular: "route",
        nested: &[("services", "routes")],
        key: Some("name"),
        unique_together: &[],
        ttl: false,
        audit: Audit::Never,
        rotation: Rotation::None,
        schema: Schema { fields: fields(), variant: Variant::ByFirstOf("protocols", variants()) },
    }
}

fn fields() -> Fields {
    Fields {
        list: vec![
            ("id", types::id()),
            ("created_at", types::created_at()),
            ("updated_at", types::updated_at()),
            ("name", types::name().unique()),
            ("protocols", protocols()),
            (
                "https_redirect_status_code",
                integer().one_of([426, 301, 302, 307, 308]).required().default(426),
            ),
            ("strip_path", boolean().required().default(true)),
            ("preserve_host", boolean().required().default(false)),
            ("request_buffering", boolean().required().default(true)),
            ("response_buffering", boolean().required().default(true)),
            ("tags", types::tags()),
            ("service", foreign("services")),
            ("snis", set(sni())),
            ("sources", set(address())),
            ("destinations", set(address())),
            ("methods", set(text().required().rule(Rule::Match(lua::UPPERCASE)))),
            ("hosts", array(host())),
            ("paths", array(path())),
            ("headers", headers()),
            ("regex_priority", integer().default(0)),
            ("path_handling", text().one_of(["v0", "v1"]).default("v0")),
        ],
        checks: vec![
            snis_need_tls(),
            EntityCheck::Custom {
                fields: vec!["path_handling"],
                run_with_missing_fields: false,
                check: |_| Ok(()),
            },
            EntityCheck::Custom {
                fields: vec![
                    "id",
                    "protocols",
                    "snis",
                    "sources",
                    "destinations",
                    "methods",
                    "hosts",
                    "paths",
                    "headers",
                    "expression",
                    "regex_priority",
                    "priority",
                ],
                run_with_missing_fields: true,
                check: header_values_exist,
            },
        ],
        ..Fields::default()
    }
}

fn protocols() -> Field {
    let groups = vec![
        vec!["http", "https"],
        vec!["tcp", "tls", "udp"],
        vec!["tls_passthrough"],
        vec!["grpc", "grpcs"],
    ];
    set(text().required().one_of(PROTOCOLS))
        .required()
        .rule(Rule::LenMin(1))
        .rule(Rule::MutuallyExclusiveSubsets(groups))
        .default(json!(["http", "https"]))
}

/// A host name, whose first or last label may be a wildcard, with or without a port.
fn host() -> Field {
    text()
        .required()
        .rule(Rule::MatchAll(vec![(lua::ONE_WILDCARD, "invalid wildcard: must have at most one wildcard")]))
        .rule(Rule::MatchAny(
            vec![lua::LEFT_WILDCARD, lua::RIGHT_WILDCARD, lua::NO_WILDCARD],
            "invalid wildcard: must be placed at leftmost or rightmost label",
        ))
        .check(|value| {
            let text = as_text(value);
            let (name, port) = types::split_port(text);
            let port_fine = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|p| p > 0));
            if port_fine && types::is_host(name, true) {
                return Ok(());
            }
            Err(format!("invalid hostname: {text}").into())
        })
}

/// A path prefix, or after `~` a regular expression that paths begin with.
fn path() -> Field {
    text()
        .required()
        .rule(Rule::MatchAny(
            vec![lua::FIXED_PATH, lua::REGEX_PATH],
            "should start with: / (fixed path) or ~/ (regex path)",
        ))
        .rule(Rule::MatchNone(vec![(lua::EMPTY_SEGMENT, "must not have empty segments")]))
        .check(|value| match as_text(value).strip_prefix('~') {
            Some(pattern) => check_regex(pattern),
            // Unlike a service's path, a route's may hold any character: it is compared, never sent.
            None => match types::check_path(as_text(value)) {
                Err(Errors::Text(say)) if say.starts_with("invalid url-encoded") => Err(say.into()),
                _ => Ok(()),
            },
        })
}

fn check_regex(pattern: &str) -> Result<(), Errors> {
    // `\/` is how many write a slash; the regex crate knows no such escape.
    let plain = pattern.replace("\\/", "/");
    match regex::RegexBuilder::new(&plain).size_limit(1 << 20).build() {
        Ok(_) => Ok(()),
        Err(regex::Error::CompiledTooBig(limit)) => {
            Err(format!("invalid regex: '{pattern}' (larger than {limit} bytes when compiled)").into())
        }
        Err(error) => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Err(format!("invalid regex: '{pattern}' ({reason})").into())
        }
    }
}

fn headers() -> Field {
    let name = text()
        .required()
        .rule(Rule::MatchNone(vec![(
            lua::HOST_NAME,
            "cannot contain 'host' header, which must be specified in the 'hosts' attribute",
        )]))
        .check(|value| types::check_header_name(as_text(value)));
    map(name, array(text().required()).required())
}

fn sni() -> Field {
    text().required().check(|value| {
        let text = as_text(value);
        if text.parse::<IpAddr>().is_ok() {
            return Err("must not be an IP".into());
        }
        match types::split_port(text) {
            _ if types::is_host(text, true) => Ok(()),
            (name, Some(_)) if types::is_host(name, true) => Err("must not have a port".into()),
            _ => Err(format!("invalid value: {text}").into()),
        }
    })
}

/// One end of a stream: an address or network, a port, or both.
fn address() -> Field {
    let ip = string().check(|value| {
        let text = as_text(value);
        let (ip, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
        let fits = |ip: IpAddr| {
            bits.is_none_or(|b| b.parse::<u8>().is_ok_and(|b| b <= if ip.is_ipv4() { 32 } else { 128 }))
        };
        match ip.parse::<IpAddr>() {
            Ok(ip) if fits(ip) => Ok(()),
            _ => Err(format!("invalid ip or cidr range: '{text}'").into()),
        }
    });
    record([("ip", ip), ("port", types::port())])
        .required()
        .checks([EntityCheck::AtLeastOneOf(vec!["ip", "port"])])
}

fn snis_need_tls() -> EntityCheck {
    let plain = text().required().rule(Rule::NotOneOf(
        ["grpcs", "https", "tls", "tls_passthrough"].iter().map(|p| json!(p)).collect(),
    ));
    EntityCheck::Conditional(Conditional {
        if_field: "protocols",
        if_match: Condition::elements(plain),
        then_field: "snis",
        then_match: Condition::rule(Rule::LenEq(0)),
        then_err: Some(
            "'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'",
        ),
    })
}

/// A header without values would match no request. Kong finds this out when it compiles the route, and says so.
fn header_values_exist(record: &Record) -> Result<(), String> {
    let empty = record
        .get("headers")
        .and_then(Value::as_object)
        .is_some_and(|map| map.values().any(|values| values.as_array().is_some_and(Vec::is_empty)));
    if empty {
        return Err(
            "Router Expression failed validation:  --> 1:2\n  |\n1 | ()\n  |  ^---\n  |\n  = expected term"
                .into(),
        );
    }
    Ok(())
}

/// The families of protocols: which fields each one may not use, and what each one needs.
fn variants() -> Vec<(&'static str, Fields)> {
    const STREAM: [&str; 4] = ["methods", "hosts", "paths", "headers"];
    const ADDRESSES: [&str; 2] = ["sources", "destinations"];
    let http = || family(&ADDRESSES, "'http' or 'https'", http_needs);
    let stream = || family(&STREAM, "'tcp', 'tls', 'tls_passthrough' or 'udp'", stream_needs);
    let passthrough = || {
        let mut family = family(&STREAM, "'tcp', 'tls', 'tls_passthrough' or 'udp'", passthrough_needs);
        family.list.extend(ADDRESSES.map(|name| (name, unset(name, "'tls_passthrough'"))));
        family
    };
    let grpc = || {
        let mut family = family(&["methods", "sources", "destinations"], "'grpc' or 'grpcs'", grpc_needs);
        let say = "cannot set 'strip_path' when 'protocols' is 'grpc' or 'grpcs'";
        family.list.push((
            "strip_path",
            boolean().required().default(false).rule(Rule::Not(json!(true), say.to_owned())),
        ));
        family
    };
    vec![
        ("http", http()),
        ("https", http()),
        ("tcp", stream()),
        ("tls", stream()),
        ("udp", stream()),
        ("tls_passthrough", passthrough()),
        ("grpc", grpc()),
        ("grpcs", grpc()),
    ]
}

fn family(unused: &[&'static str], protocols: &str, needs: fn(&Record) -> Result<(), String>) -> Fields {
    Fields {
        list: unused.iter().map(|name| (*name, unset(name, protocols))).collect(),
        checks: vec![EntityCheck::Custom { fields: vec![], run_with_missing_fields: true, check: needs }],
        ..Fields::default()
    }
}

fn unset(name: &str, protocols: &str) -> Field {
    array(string()).rule(Rule::Unset(format!("cannot set '{name}' when 'protocols' is {protocols}")))
}

fn http_needs(record: &Record) -> Result<(), String> {
    if any_protocol(record, &["https"]) {
        needs(record, &["methods", "hosts", "headers", "paths", "snis"], "'https'")
    } else {
        needs(record, &["methods", "hosts", "headers", "paths"], "'http'")
    }
}

fn grpc_needs(record: &Record) -> Result<(), String> {
    if any_protocol(record, &["grpcs"]) {
        needs(record, &["hosts", "headers", "paths", "snis"], "'grpcs'")
    } else {
        needs(record, &["hosts", "headers", "paths"], "'grpc'")
    }
}

fn stream_needs(record: &Record) -> Result<(), String> {
    needs(record, &["sources", "destinations", "snis"], "'tcp', 'tls' or 'udp'")
}

fn passthrough_needs(record: &Record) -> Result<(), String> {
    if is_set(record, "snis") {
        Ok(())
    } else {
        Err("must set snis when 'protocols' is 'tls_passthrough'".to_owned())
    }
}

fn needs(record: &Record, fields: &[&str], protocols: &str) -> Result<(), String> {
    if fields.iter().any(|field| is_set(record, field)) {
        return Ok(());
    }
    Err(format!("must set one of '{}' when 'protocols' is {protocols}", fields.join("', '")))
}

fn is_set(record: &Record, field: &str) -> bool {
    record.get(field).is_some_and(|value| !crate::schema::is_empty(value))
}

fn any_protocol(record: &Record, names: &[&str]) -> bool {
    let members = record.get("protocols").and_then(Value::as_array);
    members.is_some_and(|list| list.iter().filter_map(Value::as_str).any(|p| names.contains(&p)))
}
