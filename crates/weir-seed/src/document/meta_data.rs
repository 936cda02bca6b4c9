//! What cloud-init's data sources are given as metadata.
//!
//! What becomes of `random_seed` there depends on the data source (cloud-init 22–25, read in its sources): OpenStack's and
//! IBM's decode it from base64; NoCloud's hands the text over as it is. Either way all of it is mixed in: base64 that was
//! not decoded is as unguessable as what it stands for.

use serde_json::Value;
use weir_mint::Uuid;

use super::error::text_of;
use super::json::{Edit, Json};
use super::yaml::{self, Pair};
use super::{MergeError, Options, Place, Template};

const KEY: &str = "random_seed";

/// Why a name or id is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}: {why}")]
pub struct NameError {
    text: String,
    what: &'static str,
    why: &'static str,
}

/// A name for a new machine, as DNS has them (RFC 1123 2.1).
///
/// # Errors
/// [`NameError`].
pub fn check_hostname(text: &str) -> Result<(), NameError> {
    let wrong = |why| Err(NameError { text: text.chars().take(80).collect(), what: "host name", why });
    if text.len() > 253 {
        return wrong("it is longer than 253 characters");
    }
    for label in text.split('.') {
        if label.is_empty() || label.len() > 63 {
            return wrong("between dots there are 1 to 63 characters");
        }
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return wrong("it has letters, digits and dashes");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return wrong("a dash is neither first nor last");
        }
    }
    Ok(())
}

/// What cloud-init knows an instance by; it is also a name of a folder in the guest.
///
/// # Errors
/// [`NameError`].
pub fn check_instance_id(text: &str) -> Result<(), NameError> {
    let wrong = |why| Err(NameError { text: text.chars().take(80).collect(), what: "instance id", why });
    match text {
        "" => wrong("it is empty"),
        "." | ".." => wrong("it will be the name of a folder"),
        _ if text.len() > 128 => wrong("it is longer than 128 characters"),
        _ if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte)) => {
            wrong("it has letters, digits and - _ . :")
        }
        _ => Ok(()),
    }
}

/// An instance id that nobody has and nobody guesses: a UUID of version 4.
///
/// # Errors
/// The kernel gave none.
pub fn instance_id() -> Result<String, weir_kernel::Error> {
    Ok(Uuid::v4()?.to_string())
}

/// NoCloud's `meta-data`, without a seed.
#[must_use]
pub fn nocloud(instance_id: &str, hostname: Option<&str>) -> String {
    let hostname = hostname.map(|name| format!("local-hostname: {}\n", Value::from(name)));
    format!("instance-id: {}\n{}", Value::from(instance_id), hostname.unwrap_or_default())
}

/// The seed added to NoCloud's `meta-data`: YAML.
///
/// # Errors
/// [`MergeError`].
pub fn merge_nocloud(document: &[u8], options: Options) -> Result<Template, MergeError> {
    let text = text_of(document)?;
    let pair = Pair {
        key: KEY,
        block: ("random_seed: \"".into(), "\"".into()),
        flow: ("\"random_seed\": \"".into(), "\"".into()),
    };
    yaml::add(text, 0, &pair, options.replace)
}

/// Whether NoCloud's `network-config` is YAML, with keys at the top.
///
/// # Errors
/// [`MergeError`].
pub fn check_network_config(document: &[u8]) -> Result<(), MergeError> {
    yaml::check(text_of(document)?)
}

/// OpenStack's `meta_data.json`, without a seed.
#[must_use]
pub fn openstack(instance_id: &str, hostname: Option<&str>) -> String {
    let hostname = hostname.map(|name| format!(",\n  \"hostname\": {}", Value::from(name)));
    format!("{{\n  \"uuid\": {}{}\n}}\n", Value::from(instance_id), hostname.unwrap_or_default())
}

/// The seed added to OpenStack's `meta_data.json`.
///
/// # Errors
/// [`MergeError`].
pub fn merge_openstack(document: &[u8], options: Options) -> Result<Template, MergeError> {
    let text = text_of(document)?;
    let json = Json::parse(text)?;
    if !json.value.is_object() {
        return Err(MergeError::malformed(text, json.root(), "an object should begin here"));
    }
    let edit = match json.member(json.root(), KEY) {
        Some(item) if options.replace => {
            Edit { range: item.value, text: "\"".into(), after_seed: Some("\"".into()) }
        }
        Some(item) => {
            let place = Place::of(text.as_bytes(), item.start);
            return Err(MergeError::Present { place, what: KEY });
        }
        None => json.append(json.root(), format!("\"{KEY}\": \""), Some("\"".into())),
    };
    let template = json.edited(vec![edit]);
    let without = |mut value: Value| {
        let seed = value.as_object_mut().and_then(|object| object.shift_remove(KEY));
        (value, seed.is_some())
    };
    let before = without(json.value.clone()).0;
    match serde_json::from_str::<Value>(&template.sample()).map(without) {
        Ok((after, true)) if after == before => Ok(template),
        _ => {
            Err(MergeError::Unfit("the seed cannot be put into it without changing what is around it".into()))
        }
    }
}
