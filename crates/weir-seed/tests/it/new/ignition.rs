//! Ignition's configuration, and Ignition's own opinion of it.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use weir_seed::document::{MergeError, ignition};

use super::{PLAIN, REPLACE, filled, seed};

fn merged(document: &str, replace: bool) -> Result<String, MergeError> {
    let options = if replace { REPLACE } else { PLAIN };
    ignition::merge(document.as_bytes(), options).map(|template| filled(&template))
}

/// Ignition's own check, or `None` where there is none.
fn is_valid(config: &str) -> Option<Result<(), String>> {
    let mut child = Command::new("ignition-validate")
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take().unwrap().write_all(config.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some(if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&said).into_owned()) })
}

const PRETTY: &str = r#"{
  "ignition": { "version": "3.3.0" },
  "passwd": {"users": [{"name": "core", "sshAuthorizedKeys": ["ssh-ed25519 AAAA"]}]},
  "storage": {
	"files": [
      {
        "path": "/etc/hostname",   "mode": 420,
        "contents": {"source": "data:,web\/1\u0041"}
      }
    ]
  }
}
"#;

#[test]
fn a_new_one_carries_the_seed_and_what_mixes_it_in() {
    let text = filled(&ignition::new());
    let config: Value = serde_json::from_str(&text).unwrap();
    let file = &config["storage"]["files"][0];
    assert_eq!((&file["path"], &file["mode"]), (&Value::from(ignition::SEED_PATH), &Value::from(0o600)));
    assert_eq!(file["contents"]["source"], format!("data:;base64,{}", seed().base64().as_str()));
    assert_eq!(config["systemd"]["units"][0]["enabled"], true);
    assert!(config["systemd"]["units"][0]["contents"].as_str().unwrap().contains(ignition::SEED_PATH));
    assert_eq!(text, filled(&ignition::merge(b"", PLAIN).unwrap()));
}

#[test]
fn ignition_itself_finds_nothing_wrong() {
    let merged = merged(PRETTY, false).unwrap();
    for config in [filled(&ignition::new()), merged] {
        match is_valid(&config) {
            None => testkit::skip!("no ignition-validate"),
            Some(opinion) => assert_eq!(opinion, Ok(()), "{config}"),
        }
    }
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let dir = tempfile::tempdir().unwrap();
    let config: Value = serde_json::from_str(&filled(&ignition::new())).unwrap();
    let unit = dir.path().join(ignition::UNIT);
    std::fs::write(&unit, config["systemd"]["units"][0]["contents"].as_str().unwrap()).unwrap();
    let Ok(output) = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output() else {
        testkit::skip!("no systemd-analyze");
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains(ignition::UNIT), "{said}");
}

#[test]
fn every_other_byte_stays() {
    let result = merged(PRETTY, false).unwrap();
    let line = result.lines().find(|line| line.contains("\"overwrite\"")).unwrap();
    let unit = result.lines().find(|line| line.contains("\"systemd\"")).unwrap();
    assert!(line.starts_with("      {\"path\""), "{line}");
    let without = result.replace(&format!(",\n{line}"), "").replace(&format!(",\n{unit}"), "");
    assert_eq!(without, PRETTY);
    for small in [
        "{\"ignition\":{\"version\":\"3.0.0\"}}",
        "{\"ignition\":{\"version\":\"3.4.0\"},\"storage\":{},\"systemd\":{\"units\":[]}}",
        "{\"x\":1.50,\"ignition\":{\"version\":\"3.4.0\"},\"storage\":{\"files\":[ ],\"disks\":[]}}",
    ] {
        let config: Value = serde_json::from_str(&merged(small, false).unwrap()).unwrap();
        assert_eq!(config["storage"]["files"].as_array().unwrap().len(), 1, "{small}");
        assert_eq!(config["systemd"]["units"].as_array().unwrap().len(), 1, "{small}");
    }
}

#[test]
fn an_old_seed_is_replaced_only_if_that_is_wanted() {
    let first = merged(PRETTY, false).unwrap();
    let error = merged(&first, false).unwrap_err();
    assert_eq!(error.to_string(), format!("{} is there already", ignition::SEED_PATH));
    let second = weir_seed::Seed::from_bytes(vec![7; 64]).unwrap();
    let replaced = ignition::merge(first.as_bytes(), REPLACE).unwrap().fill(&second).to_vec();
    let expected = first.replace(seed().base64().as_str(), second.base64().as_str());
    assert_eq!(String::from_utf8(replaced).unwrap(), expected);
}

#[test]
fn what_is_wrong_has_a_place() {
    for (document, place, why) in [
        ("{\"ignition\": {\"version\": \"3.0.0\"},\n  \"storage\": []}", "2:14", "storage is not"),
        ("{\"ignition\": {\"version\": \"2.3.0\"}}", "1:14", "Ignition 2.3.0"),
        ("{\"ignition\": {}}", "1:14", "no ignition.version"),
        ("[]", "1:1", "no ignition.version"),
        ("{\"ignition\": {\"version\": \"3.0.0\",}}", "1:34", "trailing comma"),
        ("{\"a\": 1, \"a\": 2}", "1:10", "a is here a second time"),
        ("#cloud-config\n", "1:1", "expected value"),
        ("{", "1:1", "EOF"),
    ] {
        let error = merged(document, false).unwrap_err();
        let found = error.place().map(|place| place.to_string()).unwrap_or_default();
        assert!(found == place && error.to_string().contains(why), "{document:?}: {found}: {error}");
    }
}
