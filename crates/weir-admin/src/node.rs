//! What is not an entity: the node, its plugins, schemas, tags.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::Admin;
use crate::entities::page;
use crate::failure::Failure;
use crate::path;
use crate::request::Request;
use crate::respond::{self, Answer};

/// Kong's version whose Admin API this is. Tools decide by it what they may ask for.
const SPEAKS: &str = "3.9.1";

const GET: &[Method] = &[Method::GET, Method::HEAD, Method::OPTIONS];
const POST: &[Method] = &[Method::OPTIONS, Method::POST];
const PUT: &[Method] = &[Method::OPTIONS, Method::PUT];
const DELETE: &[Method] = &[Method::DELETE, Method::OPTIONS];
const GET_DELETE: &[Method] = &[Method::DELETE, Method::GET, Method::HEAD, Method::OPTIONS];
const GET_POST: &[Method] = &[Method::GET, Method::HEAD, Method::OPTIONS, Method::POST];

/// Answers a request for a path of the node's own; `None` if there is no such path.
pub(crate) async fn handle(
    admin: &Admin,
    request: &Request,
    segments: &[&str],
) -> Option<Result<Answer, Failure>> {
    let methods = methods(segments)?;
    let method = if request.method == Method::HEAD { &Method::GET } else { &request.method };
    if *method == Method::OPTIONS {
        let asked = request.headers.get(http::header::ACCESS_CONTROL_REQUEST_HEADERS);
        return Some(Ok(respond::options(methods, asked)));
    }
    if !methods.contains(method) {
        return Some(Err(Failure::Method));
    }
    Some(match segments {
        [] => root(admin).await,
        ["status"] => status(admin, request).await,
        ["endpoints"] => Ok(endpoints()),
        ["randomness"] => Ok(respond::ok(&admin.node.randomness())),
        ["metrics"] => Ok(metrics(admin)),
        ["timers"] => Ok(timers(admin)),
        ["plugins", "enabled"] => Ok(enabled(admin)),
        ["schemas", name] => schema(name),
        ["schemas", "plugins", "validate"] => validate(admin, request, "plugins"),
        ["schemas", "plugins", name] => plugin_schema(admin, name),
        ["schemas", "vaults", name] => {
            Err(Failure::Plain(StatusCode::NOT_FOUND, format!("No vault named '{name}'")))
        }
        ["schemas", name, "validate"] => validate(admin, request, name),
        ["audit", "credentials"] => audit(admin, request).await,
        ["tags"] if *method == Method::POST => Err(tags_are_read_only()),
        ["tags"] => tags(admin, request, None).await,
        ["tags", tag] => tags(admin, request, Some(tag)).await,
        // Nothing is cached that could be stale: what is in force is what is stored.
        ["cache"] | ["cache", _] if *method == Method::DELETE => Ok(respond::no_content()),
        ["cache", _] => Err(Failure::NotFound),
        ["debug", "node", "log-level"] => Ok(log_level(admin)),
        ["debug", "node", "log-level", level] => set_log_level(admin, level),
        ["clustering", _] => {
            let say = "this endpoint is only available when Kong is configured to run as Control Plane for the cluster";
            Err(Failure::Plain(StatusCode::BAD_REQUEST, say.to_owned()))
        }
        ["config"] => {
            let say = "this endpoint is only available when Kong is configured to not use a database";
            Err(Failure::Plain(StatusCode::BAD_REQUEST, say.to_owned()))
        }
        _ => Err(Failure::NotFound),
    })
}

fn methods(segments: &[&str]) -> Option<&'static [Method]> {
    Some(match segments {
        []
        | ["status" | "endpoints" | "randomness" | "metrics" | "timers"]
        | ["plugins", "enabled"]
        | ["clustering", "data-planes" | "status"]
        | ["debug", "node", "log-level"]
        | ["audit", "credentials"]
        | ["tags", _] => GET,
        ["schemas", "plugins", "validate"] => POST,
        ["schemas", _] | ["schemas", "plugins" | "vaults", _] => GET,
        ["schemas", _, "validate"] => POST,
        ["tags"] | ["config"] => GET_POST,
        ["cache"] => DELETE,
        ["cache", _] => GET_DELETE,
        ["debug", "node", "log-level", _] => PUT,
        _ => return None,
    })
}

/// The paths of the node's own, as `/endpoints` lists them.
const ENDPOINTS: &[&str] = &[
    "/",
    "/audit/credentials",
    "/cache",
    "/cache/{key}",
    "/clustering/data-planes",
    "/clustering/status",
    "/config",
    "/debug/node/log-level",
    "/debug/node/log-level/{log_level}",
    "/endpoints",
    "/metrics",
    "/plugins/enabled",
    "/randomness",
    "/schemas/plugins/validate",
    "/schemas/plugins/{name}",
    "/schemas/vaults/{name}",
    "/schemas/{db_entity_name}/validate",
    "/schemas/{name}",
    "/status",
    "/tags",
    "/tags/{tags}",
    "/timers",
];

fn endpoints() -> Answer {
    let mut all: Vec<String> =
        ENDPOINTS.iter().map(|path| (*path).to_owned()).chain(path::endpoints()).collect();
    all.sort_unstable();
    respond::ok(&json!({"data": all, "next": null}))
}

async fn root(admin: &Admin) -> Result<Answer, Failure> {
    let available: Map<String, Value> = admin
        .node
        .plugin_priorities()
        .into_iter()
        .map(|(name, priority)| (name.to_owned(), json!({"version": SPEAKS, "priority": priority})))
        .collect();
    let mut out = json!({
        "tagline": "Welcome to Weir",
        "version": SPEAKS,
        "weir_version": env!("CARGO_PKG_VERSION"),
        "edition": "community",
        "plugins": {"available_on_server": available, "enabled_in_cluster": in_use(admin).await?},
    });
    if let (Value::Object(out), Value::Object(own)) = (&mut out, admin.node.describe()) {
        out.extend(own);
    }
    Ok(respond::ok(&out))
}

/// The plugins that any entity names.
async fn in_use(admin: &Admin) -> Result<Vec<String>, Failure> {
    let Some(plugins) = weir_model::entity("plugins") else { return Ok(Vec::new()) };
    let mut names: Vec<String> = Vec::new();
    let mut page = weir_model::Page { size: 1000, after: None };
    loop {
        let listing = admin.store.list(plugins, &weir_store::Filter::default(), &page).await?;
        for stored in &listing.members {
            if let Some(name) = stored.record.get("name").and_then(Value::as_str)
                && !names.iter().any(|known| known == name)
            {
                names.push(name.to_owned());
            }
        }
        match listing.next {
            Some(next) => page.after = Some(next),
            None => return Ok(names),
        }
    }
}

/// What `/status` says, here and on the status API.
pub(crate) async fn status_body(admin: &Admin) -> Value {
    let reachable = admin.store.ping().await.is_ok();
    let mut out = json!({
        "database": {"reachable": reachable},
        "server": admin.node.server_status(),
        "randomness": admin.node.randomness(),
    });
    if let (Value::Object(map), Some(memory)) = (&mut out, memory()) {
        map.insert("memory".to_owned(), memory);
    }
    out
}

/// The memory of this process, bytes.
fn memory() -> Option<Value> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some(json!({"resident_bytes": field("VmRSS")? * 1024, "peak_resident_bytes": field("VmHWM")? * 1024}))
}

async fn status(admin: &Admin, request: &Request) -> Result<Answer, Failure> {
    if let Some(unit) = request.query("unit")
        && !matches!(unit.as_str(), "k" | "K" | "m" | "M" | "g" | "G" | "b" | "B")
    {
        let say = format!("invalid unit '{unit}' (expected 'k/K', 'm/M', or 'g/G')");
        return Err(Failure::Plain(StatusCode::BAD_REQUEST, say));
    }
    Ok(respond::ok(&status_body(admin).await))
}

/// What `/metrics` shows, here and on the status API.
pub(crate) fn metrics(admin: &Admin) -> Answer {
    let mut out = String::new();
    admin.node.metrics(&mut out);
    respond::with(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", out)
}

fn timers(admin: &Admin) -> Answer {
    respond::ok(&json!({"worker": {"id": 0, "count": admin.node.workers()}, "stats": {}}))
}

fn enabled(admin: &Admin) -> Answer {
    let names: Vec<&str> = admin.catalog.names().collect();
    respond::ok(&json!({"enabled_plugins": names}))
}

fn schema(name: &str) -> Result<Answer, Failure> {
    let entity = weir_model::entity(name).ok_or_else(|| no_entity(name))?;
    Ok(respond::ok(&entity.schema.describe()))
}

fn no_entity(name: &str) -> Failure {
    Failure::Plain(StatusCode::NOT_FOUND, format!("No entity named '{name}'"))
}

fn plugin_schema(admin: &Admin, name: &str) -> Result<Answer, Failure> {
    match admin.catalog.plugin(name) {
        Some(plugin) => Ok(respond::ok(&plugin.describe())),
        None => Err(Failure::Plain(StatusCode::NOT_FOUND, format!("No plugin named '{name}'"))),
    }
}

/// Whether a body would do for an entity. Texts of a form are not given types here.
fn validate(admin: &Admin, request: &Request, name: &str) -> Result<Answer, Failure> {
    let entity = weir_model::entity(name).ok_or_else(|| no_entity(name))?;
    let bad = || Failure::Plain(StatusCode::BAD_REQUEST, "Cannot parse JSON body".to_owned());
    let args = crate::args::read(request.header("content-type"), &request.body).map_err(|_| bad())?;
    entity.schema.validate(args.fields, &admin.catalog).map_err(Failure::Schema)?;
    Ok(respond::ok(&json!({"message": "schema validation successful"})))
}

fn tags_are_read_only() -> Failure {
    let say = "does not support insert/upsert/update/delete operations";
    Failure::Schema(weir_model::Violations::field("tags", say))
}

async fn tags(admin: &Admin, request: &Request, tag: Option<&str>) -> Result<Answer, Failure> {
    let page = page(request)?;
    let listing = admin.store.tags(tag, &page).await?;
    let members: Vec<Value> = listing
        .members
        .iter()
        .map(|tagging| json!({"tag": tagging.tag, "entity_name": tagging.entity, "entity_id": tagging.id.to_string()}))
        .collect();
    let size = request.query("size").map(|size| ("size", size));
    let options: Vec<_> = size.into_iter().collect();
    let body = crate::entities::paged(request, members, listing.next.as_deref(), &options);
    Ok(respond::ok(&body))
}

/// A page of the audit log, the oldest entries first; `about` names one credential or one consumer.
async fn audit(admin: &Admin, request: &Request) -> Result<Answer, Failure> {
    let page = page(request)?;
    let bad = |name, why: &str| Failure::Option { name, why: why.to_owned() };
    let about = request.query("about");
    let id = about.as_deref().map(|id| id.parse().map_err(|_| bad("about", "must be a UUID"))).transpose()?;
    if page.after.as_ref().is_some_and(|after| after.parse::<i64>().is_err()) {
        return Err(bad("offset", "must be one that a page gave"));
    }
    let listing = admin.store.audit(id, &page).await?;
    let members: Vec<Value> = listing.members.iter().map(entry).collect();
    let options = [("about", about), ("size", request.query("size"))];
    let options: Vec<_> = options.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    Ok(respond::ok(&crate::entities::paged(request, members, listing.next.as_deref(), &options)))
}

fn entry(entry: &weir_store::AuditEntry) -> Value {
    json!({
        "sequence": entry.sequence,
        "at": entry.at_ms as f64 / 1000.0,
        "actor": entry.actor,
        "action": entry.action,
        "entity": entry.entity,
        "id": entry.id.to_string(),
        "consumer": entry.consumer.map(|id| json!({"id": id.to_string()})),
    })
}

fn log_level(admin: &Admin) -> Answer {
    respond::message(StatusCode::OK, &format!("log level: {}", admin.node.log_level()))
}

fn set_log_level(admin: &Admin, level: &str) -> Result<Answer, Failure> {
    let before = admin.node.log_level();
    if before == level {
        return Ok(respond::message(StatusCode::OK, &format!("log level is already {level}")));
    }
    admin
        .node
        .set_log_level(level)
        .map_err(|_| Failure::Plain(StatusCode::BAD_REQUEST, format!("unknown log level: {level}")))?;
    Ok(respond::message(StatusCode::OK, "log level changed"))
}

#[cfg(test)]
mod tests {
    use weir_model::ENTITIES;

    use super::*;

    #[test]
    fn every_path_is_listed() {
        let listed = endpoints();
        assert_eq!(listed.status(), StatusCode::OK);
        for path in ENTITIES.iter().filter_map(|entity| entity.path) {
            assert!(path::endpoints().contains(&format!("/{path}")));
        }
    }
}
