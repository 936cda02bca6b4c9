//! Reading entities.

use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use weir_model::schema::is_uuid;
use weir_model::{Entity, Page, PageError, Tags, encode_offset};
use weir_store::Filter;

use super::{Parent, Place, locate, show, shown};
use crate::Admin;
use crate::failure::Failure;
use crate::request::Request;
use crate::respond::{self, Answer};

/// A member.
pub(super) async fn get(admin: &Admin, place: Place<'_>) -> Result<Answer, Failure> {
    let stored = locate(&*admin.store, place).await?.ok_or(Failure::NotFound)?;
    Ok(shown(admin, StatusCode::OK, place.entity, stored))
}

/// When a credential was last good for something.
pub(super) async fn usage(admin: &Admin, place: Place<'_>) -> Result<Answer, Failure> {
    let stored = locate(&*admin.store, place).await?.ok_or(Failure::NotFound)?;
    let written = admin.store.last_used(stored.id).await?;
    let last = written.max(admin.node.last_used(stored.id)).map(|at_ms| at_ms / 1000);
    Ok(respond::ok(&json!({"id": stored.id.to_string(), "last_used_at": last})))
}

/// A page of a collection.
pub(super) async fn list(
    admin: &Admin,
    request: &Request,
    entity: &'static Entity,
    of: Option<Parent>,
) -> Result<Answer, Failure> {
    let page = page(request)?;
    if let Some(after) = page.after.as_ref().filter(|after| !is_uuid(after)) {
        let offset = request.query("offset").unwrap_or_else(|| after.clone());
        return Err(PageError::Offset(offset, "invalid key").into());
    }
    let tags = request.query("tags");
    let parsed = tags.as_deref().map(Tags::parse).transpose();
    let filter = Filter {
        belonging_to: of.map(|parent| (parent.field, parent.id)),
        equal: equal(request, entity)?,
        tags: parsed.map_err(|why| Failure::Option { name: "tags", why })?,
    };
    let listing = admin.store.list(entity, &filter, &page).await?;
    let members: Vec<Value> = listing.members.into_iter().map(|stored| show(admin, entity, stored)).collect();
    let mut options = Vec::new();
    if let Some(tags) = &tags {
        options.push(("tags", tags.clone()));
    }
    // Kong leaves the size out below another entity, and so the next page has the usual one.
    if let (None, Some(size)) = (of, request.query("size")) {
        options.push(("size", size));
    }
    Ok(respond::ok(&paged(request, members, listing.next.as_deref(), &options)))
}

/// The page that a request asks for.
pub(crate) fn page(request: &Request) -> Result<Page, Failure> {
    Ok(Page::parse(request.query("size").as_deref(), request.query("offset").as_deref())?)
}

/// A page as answers show it: with the address of the next one, which carries the same options.
pub(crate) fn paged(
    request: &Request,
    members: Vec<Value>,
    next: Option<&str>,
    options: &[(&str, String)],
) -> Value {
    let Some(next) = next else { return json!({"data": members, "next": null}) };
    let offset = encode_offset(next);
    let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let path = request.uri.path().trim_end_matches('/');
    let mut address = format!("{path}?offset={}", escape(&offset));
    for (name, value) in options {
        address.push_str(&format!("&{name}={}", escape(value)));
    }
    json!({"data": members, "next": address, "offset": offset})
}

/// Consumers can be looked for by their names.
fn equal(request: &Request, entity: &Entity) -> Result<Option<(&'static str, String)>, Failure> {
    if entity.name != "consumers" {
        return Ok(None);
    }
    for field in ["custom_id", "username"] {
        match request.query(field) {
            None => {}
            Some(value) if value.is_empty() => {
                let say = format!("{field} must be an unempty string");
                return Err(Failure::Plain(StatusCode::BAD_REQUEST, say));
            }
            Some(value) => return Ok(Some((field, value))),
        }
    }
    Ok(None)
}
