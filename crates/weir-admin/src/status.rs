//! The status API: what a monitor may see, and nothing that changes anything.

use http::{Method, StatusCode};

use crate::Admin;
use crate::failure::Failure;
use crate::node;
use crate::request::Request;
use crate::respond::{self, Answer};

/// Answers a request to the status API.
pub(crate) async fn handle(admin: &Admin, request: &Request, segments: &[&str]) -> Result<Answer, Failure> {
    let known = matches!(segments, [] | ["status" | "metrics" | "randomness"] | ["status", "ready"]);
    if !known {
        return Err(Failure::NotFound);
    }
    if request.method != Method::GET && request.method != Method::HEAD {
        return Err(Failure::Method);
    }
    Ok(match segments {
        ["metrics"] => node::metrics(admin),
        ["randomness"] => respond::ok(&admin.node.randomness()),
        ["status", "ready"] => ready(admin),
        _ => respond::ok(&node::status_body(admin).await),
    })
}

fn ready(admin: &Admin) -> Answer {
    match admin.node.ready() {
        Ok(()) => respond::message(StatusCode::OK, "ready"),
        Err(why) => respond::message(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}
