//! Real cloud-init reads what is written here.

use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weir_seed::document::{Options, meta_data, user_data};

use super::{PLAIN, REPLACE, filled, merged, seed};

/// Gives user-data to cloud-init: parts as it sees them, and its opinion of each cloud-config among them.
const READ: &str = r#"
import json, logging, sys
from cloudinit import safeyaml
from cloudinit.config.schema import get_schema, validate_cloudconfig_schema, SchemaValidationError
from cloudinit.user_data import UserDataProcessor
class Paths:
    def get_runpath(self, *a): return "/nonexistent"
    def get_cpath(self, *a): return "/nonexistent"
    def get_ipath_cur(self, *a): return "/nonexistent"
from cloudinit import util
util.fetch_ssl_details = lambda paths: {}
schema = get_schema()
def read(document):
    for part in UserDataProcessor(Paths()).process(document.encode()).walk():
        if part.get_content_maintype() == "multipart":
            continue
        text = util.fully_decoded_payload(part)
        text = text.decode() if isinstance(text, bytes) else text
        config, fault = None, None
        if part.get_content_type() == "text/cloud-config":
            config = safeyaml.load(text)
            try:
                validate_cloudconfig_schema(config, schema, strict=True)
            except SchemaValidationError as e:
                fault = str(e)
        yield {"type": part.get_content_type(), "text": text, "config": config, "fault": fault}
json.dump([list(read(document)) for document in json.load(sys.stdin)], sys.stdout)
"#;

/// What cloud-init makes of each document, or `None` where there is none. Python starts slowly: all go in at once.
fn read(documents: &[String]) -> Option<Vec<Vec<Value>>> {
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    // Without cloud-init it does not come to reading.
    let _ = child.stdin.take().unwrap().write_all(json!(documents).to_string().as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("No module named") {
        return None;
    }
    assert!(output.status.success(), "{said}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

macro_rules! read {
    ($($document:expr),+ $(,)?) => {
        match read(&[$($document.to_owned()),+]) {
            Some(read) => <[Vec<Value>; [$(stringify!($document)),+].len()]>::try_from(read).unwrap(),
            None => testkit::skip!("no cloud-init"),
        }
    };
}

fn random_seed() -> Value {
    json!({"file": "/dev/urandom", "data": seed().base64().as_str(), "encoding": "base64"})
}

#[test]
fn a_new_document_is_what_its_schema_wants_in_either_style() {
    let [new, plain, block, flow] = read!(
        filled(&user_data::new(Options::default())),
        filled(&user_data::new(PLAIN)),
        filled(&user_data::merge(b"#cloud-config\n", Options::default()).unwrap()),
        filled(&user_data::merge(b"#cloud-config\n{}", Options::default()).unwrap()),
    );
    assert_eq!(
        (new.len(), &new[0]["fault"], &new[0]["type"]),
        (1, &Value::Null, &json!("text/cloud-config"))
    );
    assert_eq!(new[0]["config"]["random_seed"]["command"].as_array().unwrap().len(), 3);
    assert_eq!(plain[0]["config"], json!({"random_seed": random_seed()}));
    assert_eq!(block[0]["config"], new[0]["config"]);
    assert_eq!(flow[0]["config"], new[0]["config"]);
}

#[test]
fn the_command_never_fails_and_has_the_kernel_reseed() {
    let [parts] = read!(filled(&user_data::new(Options::default())));
    let command: Vec<&str> = parts[0]["config"]["random_seed"]["command"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect();
    for path in ["/usr/bin:/bin", "/nonexistent"] {
        let output = Command::new("/bin/sh").args(&command[1..]).env("PATH", path).output().unwrap();
        assert_eq!((output.status.code(), output.stdout, output.stderr), (Some(0), vec![], vec![]), "{path}");
    }
    let strace = Command::new("strace").args(["-f", "-e", "trace=ioctl"]).args(command).output();
    match strace {
        Ok(output) if output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains("RNDRESEEDCRNG"), "{said}");
        }
        _ => testkit::skip!("no strace that may trace"),
    }
}

#[test]
fn merged_documents_differ_by_the_seed_alone() {
    let documents = [
        "#cloud-config\npackages: [ntp]\nruncmd:\n- - ls\n  - -l\n- |\n  echo é\n",
        "#cloud-config\nusers: &u\n- name: x\nbootcmd: [a]\n",
        "#cloud-config\n{\"package_update\": true, \"packages\": [\"a\"]}\n",
        "#cloud-config\r\nhostname: a\r\nfinal_message: |\r\n  one\r\n  two",
        "#cloud-config\n# nothing\n",
    ];
    let merged = documents.map(|document| merged(document, PLAIN).unwrap());
    let all: Vec<String> = documents.map(str::to_owned).into_iter().chain(merged).collect();
    let Some(read) = read(&all) else { testkit::skip!("no cloud-init") };
    let (before, after) = read.split_at(documents.len());
    for ((document, before), after) in documents.iter().zip(before).zip(after) {
        assert_eq!((after.len(), &after[0]["fault"]), (1, &Value::Null), "{document:?}");
        let mut config = after[0]["config"].clone();
        assert_eq!(config.as_object_mut().unwrap().shift_remove("random_seed"), Some(random_seed()));
        let before = before[0]["config"].clone();
        assert_eq!(config, if before.is_null() { json!({}) } else { before }, "{document:?}");
    }
}

#[test]
fn what_is_no_cloud_config_becomes_a_part_beside_one() {
    let documents = [
        ("#!/bin/sh\necho hello\n", "text/x-shellscript"),
        ("#!/bin/sh\necho hello", "text/x-shellscript"),
        ("#!/bin/sh\necho \u{e9}\u{1F600}\n--x\n", "text/x-shellscript"),
        ("#!/bin/sh\necho 'a\rb\u{c}c\u{b}'\r\n\u{1c}", "text/x-shellscript"),
        ("#cloud-boothook\n#!/bin/sh\n\ttrue\n\n\n", "text/cloud-boothook"),
        ("#part-handler\ndef list_types(): return []\n", "text/part-handler"),
        ("## template: jinja\n#cloud-config\nhostname: {{ ds.x }}\n", "text/jinja2"),
        ("#cloud-config-jsonp\n[]", "text/cloud-config-jsonp"),
    ];
    let messages = documents.map(|(document, _)| merged(document, PLAIN).unwrap());
    for message in &messages {
        // Once more is a MIME message with a seed in it.
        assert_eq!(merged(message, PLAIN).unwrap_err().to_string(), "random_seed is there already");
        assert_eq!(merged(message, REPLACE).unwrap(), *message);
    }
    let Some(read) = read(&messages) else { testkit::skip!("no cloud-init") };
    for ((document, kind), parts) in documents.iter().zip(read) {
        assert_eq!(parts.len(), 2, "{document:?}");
        assert_eq!((&parts[0]["type"], &parts[0]["text"]), (&json!(kind), &json!(document)));
        assert_eq!(
            (&parts[1]["config"], &parts[1]["fault"]),
            (&json!({"random_seed": random_seed()}), &Value::Null)
        );
    }
}

#[test]
fn what_brings_more_documents_keeps_bringing_them() {
    let archive = "#cloud-config-archive\n- content: |\n    #!/bin/sh\n    true\n";
    let [parts] = read!(merged(archive, PLAIN).unwrap());
    assert_eq!((parts.len(), &parts[0]["type"]), (2, &json!("text/x-shellscript")));
    // What is included is fetched, which this does not try.
    let include = merged("#include\nhttps://example.org/user-data\n", PLAIN).unwrap();
    assert!(include.contains("Content-Type: text/x-include-url;"), "{include}");
}

/// A message as Python writes one, with parts of its own making.
fn message(newline: &str, parts: &[(&str, &str)]) -> String {
    let mut text = "From nobody Thu Jan  1 00:00:00 1970\nContent-Type: multipart/mixed;\n boundary=\"=_x; y\"\nMIME-Version: 1.0\n\
                    Number-Attachments: 2\n\npreamble\n"
        .to_owned();
    for (headers, body) in parts {
        text += &format!("--=_x; y\n{headers}\n\n{body}\n");
    }
    text += "--=_x; y-- \nepilogue";
    text.replace('\n', newline)
}

#[test]
fn a_message_gets_another_part_and_keeps_every_byte() {
    let parts = [
        ("Content-Type: text/x-shellscript\nX-Mine: 1", "#!/bin/sh\ntrue\n"),
        ("Content-Type: text/cloud-config; charset=\"utf-8\"\nMIME-Version: 1.0", "#cloud-config\na: 1"),
        ("Content-Type: text/plain\nContent-Transfer-Encoding: base64", "I2Nsb3VkLWNvbmZpZwpiOiAxCg=="),
    ];
    for newline in ["\n", "\r\n"] {
        let document = message(newline, &parts);
        let result = merged(&document, PLAIN).unwrap();
        let close = document.rfind("--=_x").unwrap();
        let (before, rest) = result.split_at(close);
        assert_eq!(before, &document[..close]);
        assert!(rest.ends_with(&document[close..]), "{rest}");
        assert_eq!(rest.contains("\r\n"), newline == "\r\n");
        assert!(!rest.replace("\r\n", "").contains('\r'));
        let [parts] = read!(result);
        assert_eq!(parts.len(), 4, "{result}");
        assert_eq!(parts[3]["config"], json!({"random_seed": random_seed()}));
        assert_eq!((&parts[1]["config"], &parts[2]["config"]), (&json!({"a": 1}), &json!({"b": 1})));
    }
}

#[test]
fn a_part_that_has_a_seed_keeps_its_place() {
    let old = "#cloud-config\nrandom_seed: {data: x}\nhostname: a\n";
    let shell = ("Content-Type: text/x-shellscript", "#!/bin/sh\n");
    let plain = message("\n", &[shell, ("Content-Type: text/cloud-config", old), shell]);
    let error = merged(&plain, PLAIN).unwrap_err();
    let line = 1 + plain[..plain.find("random_seed").unwrap()].matches('\n').count();
    assert_eq!(error.place().unwrap().to_string(), format!("{line}:1"));
    let new = merged(old, REPLACE).unwrap();
    assert_eq!(merged(&plain, REPLACE).unwrap(), plain.replace(old, &new));
    let encoded = |text: &str| {
        let lines: Vec<String> = STANDARD
            .encode(text)
            .as_bytes()
            .chunks(76)
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect();
        message(
            "\n",
            &[
                shell,
                ("Content-Type: text/cloud-config\nContent-Transfer-Encoding: base64", &lines.join("\n")),
            ],
        )
    };
    assert_eq!(merged(&encoded(old), REPLACE).unwrap(), encoded(&new));
    let [parts] = read!(encoded(&new));
    assert_eq!((&parts[1]["fault"], &parts[1]["config"]["random_seed"]), (&Value::Null, &random_seed()));
}

#[test]
fn a_message_that_is_broken_is_refused_with_a_place() {
    let head = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n";
    for (document, place, why) in [
        (format!("{head}--b\n\n#!/bin/sh\n"), "7:1", "closing line --b--"),
        ("MIME-Version: 1.0\nContent-Type: multipart/mixed\n\n".into(), "4:1", "no boundary"),
        ("MIME-Version: 1.0\nnonsense\n\n".into(), "2:1", "no header field"),
        ("#cloud-config\n# Mime-Version: 1.0\n".into(), "1:1", "takes this for a MIME message"),
        ("MIME-Version: 1.0\nContent-Type: text/cloud-config\n\na: 1\n".into(), "1:1", "one part"),
        (format!("{head}--b\nContent-Type: text/cloud-config\n\na: [\n--b--\n"), "8:1", ""),
        (format!("{head}--b\nContent-Type: text/cloud-config\n\na: 1\na: 2\n--b--\n"), "8:1", "second time"),
        (format!("{head}--b\nContent-Transfer-Encoding: base64\n\nH4sI\n--b--\n"), "7:1", "compressed"),
        (
            format!("{head}--b\nContent-Transfer-Encoding: quoted-printable\n\na\n--b--\n"),
            "7:1",
            "quoted-printable",
        ),
        (
            format!("{head}--b\nContent-Type: text/jinja2\n\n#cloud-config\nrandom_seed: 1\n--b--\n"),
            "8:1",
            "template",
        ),
    ] {
        let error = merged(&document, PLAIN).unwrap_err();
        let found = error.place().map(|place| place.to_string()).unwrap_or_default();
        assert!(found == place && error.to_string().contains(why), "{document:?}: {found}: {error}");
    }
}

/// What NoCloud and OpenStack hand to cloud-init's module.
const METADATA: &str = r#"
import json, sys
from cloudinit import util
from cloudinit.sources.helpers import openstack
if sys.argv[1] == "nocloud":
    print(json.dumps(util.load_yaml(sys.stdin.buffer.read())))
else:
    text = sys.stdin.buffer.read()
    class Reader(openstack.BaseReader):
        def __init__(self): super().__init__("")
        def _path_join(self, base, *parts): return "/".join(parts)
        def _path_read(self, path, decode=False):
            if path.endswith("meta_data.json"): return text
            raise IOError(path)
        def _fetch_available_versions(self): return []
        def _read_ec2_metadata(self): return {}
    found = Reader().read_v2()["metadata"]
    found["random_seed"] = found["random_seed"].hex()
    print(json.dumps(found))
"#;

#[test]
fn data_sources_hand_on_the_seed() {
    let run = |source: &str, text: String| -> Option<Value> {
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", METADATA, source])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if said.contains("No module named") {
            return None;
        }
        Some(serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}")))
    };
    let nocloud =
        meta_data::merge_nocloud(meta_data::nocloud("i-1", Some("web1")).as_bytes(), PLAIN).unwrap();
    let Some(found) = run("nocloud", filled(&nocloud)) else { testkit::skip!("no cloud-init") };
    let text = seed().base64().to_string();
    assert_eq!(found, json!({"random_seed": text, "instance-id": "i-1", "local-hostname": "web1"}));
    let openstack = meta_data::openstack("u-1", Some("web1"));
    let openstack = meta_data::merge_openstack(openstack.as_bytes(), PLAIN).unwrap();
    let found = run("openstack", filled(&openstack)).unwrap();
    assert_eq!(
        (&found["random_seed"], &found["instance-id"]),
        (&json!(seed().hex().as_str()), &json!("u-1"))
    );
}
