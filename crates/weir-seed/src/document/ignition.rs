//! What Ignition is given: a configuration of version 3, whose first version (3.0.0) has all that is used here.
//!
//! Ignition runs before the machine's real root is its root, so it can put a file there and no byte into the pool. The file
//! (mode 0600) is mixed in by a unit ahead of `sysinit.target`, that is, of every ordinary service and of the making of host
//! keys, and removed. Where `weir` is in the image the unit gives the file to that, which has the kernel look at its pool at
//! once; else the bytes go to /dev/urandom and count from the kernel's own next reseed.
//!
//! The configuration stays readable where Ignition got it from: no credit.

use serde_json::{Value, json};

use super::error::text_of;
use super::json::{Edit, Json};
use super::{MergeError, Options, Place, Template};

/// Where the seed is until it is mixed in.
pub const SEED_PATH: &str = "/var/lib/weir-seed/seed";
/// The unit that does it.
pub const UNIT: &str = "weir-seed.service";

const UNIT_TEXT: &str = "\
[Unit]
Description=Mix this machine's seed into the kernel's random number generator
DefaultDependencies=no
ConditionPathExists=/var/lib/weir-seed/seed
RequiresMountsFor=/var/lib/weir-seed
Conflicts=shutdown.target
Before=sysinit.target sshd-keygen.target shutdown.target

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'command -v weir >/dev/null && weir seed receive --file /var/lib/weir-seed/seed || cat /var/lib/weir-seed/seed >/dev/urandom'
ExecStart=/bin/rm -f /var/lib/weir-seed/seed

[Install]
WantedBy=sysinit.target
";

/// A configuration with nothing but a seed.
#[must_use]
pub fn new() -> Template {
    let (head, tail) = file();
    Template::quoted(
        format!(
            "{{\n  \"ignition\": {{\"version\": \"3.0.0\"}},\n  \"storage\": {{\n    \"files\": [\n      {head}"
        ),
        format!(
            "{tail}\n    ]\n  }},\n  \"systemd\": {{\n    \"units\": [\n      {}\n    ]\n  }}\n}}\n",
            unit()
        ),
    )
}

/// The seed added to a configuration of version 3.
///
/// # Errors
/// [`MergeError`].
pub fn merge(document: &[u8], options: Options) -> Result<Template, MergeError> {
    let text = text_of(document)?;
    if text.trim().is_empty() {
        return Ok(new());
    }
    let json = Json::parse(text)?;
    check_version(text, &json)?;
    let merge = Merge { text, json: &json, options };
    let (head, tail) = file();
    let mut edits = merge.put("storage", "files", ("path", SEED_PATH), head, Some(tail))?;
    edits.extend(merge.put("systemd", "units", ("name", UNIT), unit(), None)?);
    let template = json.edited(edits);
    match serde_json::from_str::<Value>(&template.sample()) {
        Ok(after) if without_ours(after.clone()) == without_ours(json.value.clone()) && has_ours(&after) => {
            Ok(template)
        }
        _ => {
            Err(MergeError::Unfit("the seed cannot be put into it without changing what is around it".into()))
        }
    }
}

/// The file's entry, cut where the seed goes.
fn file() -> (String, String) {
    (
        format!(
            "{{\"path\": \"{SEED_PATH}\", \"overwrite\": true, \"mode\": 384, \
             \"contents\": {{\"source\": \"data:;base64,"
        ),
        "\"}}".to_owned(),
    )
}

fn unit() -> String {
    format!("{{\"name\": \"{UNIT}\", \"enabled\": true, \"contents\": {}}}", Value::from(UNIT_TEXT))
}

fn check_version(text: &str, json: &Json<'_>) -> Result<(), MergeError> {
    let at = json.member(json.root(), "ignition").map_or(json.root(), |item| item.value.start);
    let malformed = |why: String| Err(MergeError::malformed(text, at, why));
    match json.value.pointer("/ignition/version").and_then(Value::as_str) {
        Some(version) if version.starts_with("3.") => Ok(()),
        Some(version) => {
            let version: String = version.chars().take(20).filter(|c| !c.is_control()).collect();
            malformed(format!("this is for Ignition {version}, and only 3.x is known here"))
        }
        None => malformed("no ignition.version says that this is for Ignition".into()),
    }
}

struct Merge<'a> {
    text: &'a str,
    json: &'a Json<'a>,
    options: Options,
}

impl Merge<'_> {
    /// Puts an entry into the list `list` of the section `section`, which may have to be made. `name`: the member by which
    /// an entry is recognised.
    fn put(
        &self,
        section: &'static str,
        list: &str,
        name: (&str, &'static str),
        entry: String,
        after_seed: Option<String>,
    ) -> Result<Vec<Edit>, MergeError> {
        let json = self.json;
        let wrap = |open: String, close: &str| match &after_seed {
            Some(after) => (format!("{open}{entry}"), Some(format!("{after}{close}"))),
            None => (format!("{open}{entry}{close}"), None),
        };
        let Some(section_at) = json.member(json.root(), section) else {
            let (text, after) = wrap(format!("\"{section}\": {{\"{list}\": ["), "]}");
            return Ok(vec![json.append(json.root(), text, after)]);
        };
        self.expect(section_at.value.start, '{', section)?;
        let Some(list_at) = json.member(section_at.value.start, list) else {
            let (text, after) = wrap(format!("\"{list}\": ["), "]");
            return Ok(vec![json.append(section_at.value.start, text, after)]);
        };
        self.expect(list_at.value.start, '[', section)?;
        let is_ours = |at: usize| {
            let member = json.member(at, name.0)?;
            let value: Value = serde_json::from_str(self.text.get(member.value)?).ok()?;
            Some(value == name.1)
        };
        let old =
            json.items(list_at.value.start).into_iter().find(|item| is_ours(item.value.start) == Some(true));
        match old {
            Some(item) if self.options.replace => {
                Ok(vec![Edit { range: item.value, text: entry, after_seed }])
            }
            Some(item) => {
                let place = Place::of(self.text.as_bytes(), item.start);
                Err(MergeError::Present { place, what: name.1 })
            }
            None => Ok(vec![json.append(list_at.value.start, entry, after_seed)]),
        }
    }

    fn expect(&self, at: usize, open: char, section: &str) -> Result<(), MergeError> {
        match self.text.get(at..).is_some_and(|rest| rest.starts_with(open)) {
            true => Ok(()),
            false => {
                Err(MergeError::malformed(self.text, at, format!("{section} is not what Ignition has there")))
            }
        }
    }
}

fn ours(value: &Value) -> bool {
    value.get("path").is_some_and(|path| path == SEED_PATH)
        || value.get("name").is_some_and(|name| name == UNIT)
}

fn has_ours(config: &Value) -> bool {
    let has = |list: &str| {
        config
            .pointer(list)
            .and_then(Value::as_array)
            .is_some_and(|list| list.iter().filter(|v| ours(v)).count() == 1)
    };
    has("/storage/files") && has("/systemd/units")
}

/// The configuration without what is added here, and without sections that have nothing else.
fn without_ours(mut config: Value) -> Value {
    for (section, list) in [("storage", "files"), ("systemd", "units")] {
        if let Some(items) = config.pointer_mut(&format!("/{section}/{list}")).and_then(Value::as_array_mut) {
            items.retain(|item| !ours(item));
            if items.is_empty() {
                remove(&mut config[section], list);
            }
        }
        if config.get(section).is_some_and(|value| *value == json!({})) {
            remove(&mut config, section);
        }
    }
    config
}

fn remove(value: &mut Value, key: &str) {
    if let Some(object) = value.as_object_mut() {
        object.shift_remove(key);
    }
}
