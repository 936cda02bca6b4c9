//! Seeds: made on the controller, brought to hosts, and never shown.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::hosts::Hosts;
use super::{Ansible, KNOWN_SEEDS, Run, assert_hidden, missing, write_program};

const LOOKUPS: &str = "
- hosts: all
  gather_facts: false
  tasks:
    - name: fact
      ansible.builtin.set_fact:
        seed: \"{{ lookup('weir.randomness.seed') }}\"
        more: \"{{ query('weir.randomness.seed', 'a', 'b', 'c', bytes=32) }}\"
        alone: \"{{ lookup('weir.randomness.user_data') }}\"
        beside: \"{{ lookup('weir.randomness.user_data', '#!/bin/sh\\necho beside\\n') }}\"
        merged: \"{{ lookup('weir.randomness.user_data', '#cloud-config\\npackages: [weir]\\n') }}\"
        twice: \"{{ lookup('weir.randomness.user_data', '#cloud-config\\nrandom_seed: {}\\n', errors='ignore') }}\"
        short: \"{{ lookup('weir.randomness.seed', bytes=31, errors='ignore') }}\"
        strange: \"{{ lookup('weir.randomness.user_data', 'echo strange', errors='ignore') }}\"
      no_log: \"{{ hide | default(true) }}\"
";

/// What cloud-init makes of user-data: the `data` of each random_seed that it would apply, and the kinds of the other parts.
const AS_CLOUD_INIT: &str = r#"
import base64, sys
from cloudinit import helpers, user_data, util
processor = user_data.UserDataProcessor(helpers.Paths({}))
for part in processor.process(sys.stdin.buffer.read().decode()).walk():
    if part.get_content_maintype() == "multipart":
        continue
    config = util.load_yaml(part.get_payload(decode=True)) if "cloud-config" in part.get_content_type() else None
    if isinstance(config, dict) and "random_seed" in config:
        seed = config["random_seed"]
        print("seed", seed["file"], seed["encoding"], len(base64.b64decode(seed["data"])), *sorted(config))
    else:
        print(part.get_content_type())
"#;

fn as_cloud_init(text: &str) -> Option<Vec<String>> {
    use std::io::Write;
    let mut command = Command::new("/usr/bin/python3");
    command
        .args(["-c", AS_CLOUD_INIT])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().ok()?;
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    if error.contains("No module named 'cloudinit'") {
        return None;
    }
    assert!(output.status.success(), "{error}");
    Some(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

#[test]
fn user_data_is_what_cloud_init_understands() {
    if let Some(why) = missing() {
        testkit::skip!("{why}");
    }
    let ansible = Ansible::new();
    let inventory = ansible.locals(&["one", "two"]);
    // Without Weir on the controller, and with the one that was built.
    for program in ["", env!("CARGO_BIN_EXE_weir")] {
        let mut command = ansible.playbook(&inventory, LOOKUPS);
        command.args(["-e", "hide=false", "-e", &format!("weir_controller_program={program}")]);
        let run = Run::of(command);
        let facts = |host: &str| run.result("fact", host)["ansible_facts"].clone();
        let (one, two) = (facts("one"), facts("two"));
        assert_eq!(one["seed"].as_str().map(str::len), Some(88), "{}", run.result("fact", "one"));
        assert_ne!(one["seed"], two["seed"], "each host has a seed of its own");
        assert_ne!(one["alone"], two["alone"]);
        assert_eq!(one["more"].as_array().map(Vec::len), Some(3));
        assert_ne!(one["more"][0], one["more"][1]);
        for refused in ["twice", "short", "strange"] {
            assert!(one[refused].as_str().is_none_or(str::is_empty), "{refused}: {}", one[refused]);
        }
        let seed = "seed /dev/urandom base64 64";
        for (name, kinds) in [("alone", 1), ("beside", 2), ("merged", 1)] {
            let Some(parts) = as_cloud_init(one[name].as_str().unwrap()) else {
                testkit::skip!("there is no cloud-init to ask");
            };
            assert_eq!(parts.iter().filter(|part| part.starts_with(seed)).count(), 1, "{name}: {parts:?}");
            assert!(parts.len() >= kinds, "{name}: {parts:?}");
        }
        let parts = as_cloud_init(one["beside"].as_str().unwrap()).unwrap();
        assert!(parts.iter().any(|part| part == "text/x-shellscript"), "{parts:?}");
        assert!(one["merged"].as_str().unwrap().contains("packages"));
    }
}

const PUSH: &str = "
- hosts: all
  gather_facts: false
  tasks:
    - name: push
      weir.randomness.weir_seed:
        always: \"{{ again | default(false) }}\"
    - name: doctor
      weir.randomness.weir_doctor:
        require: \"{{ require | default(['ready']) }}\"
";

/// Two hosts, the second with the Weir that was built.
fn two_hosts() -> Result<Hosts, String> {
    Hosts::start(&["heron:plain", "egret:plain"], |folder| {
        let bin = folder.join("egret/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_weir"), bin.join("weir")).unwrap();
    })
}

/// By whom a seed is taken on a host with the Weir that was built.
fn taker() -> &'static str {
    let help = crate::command::weir("seed receive --help").output().unwrap();
    if help.status.success() { "weir" } else { "module" }
}

#[test]
fn each_host_is_given_a_seed_once_a_boot() {
    if let Some(why) = missing() {
        testkit::skip!("{why}");
    }
    testkit::netns::isolated(testkit::test_name!(), || {
        let hosts = match two_hosts() {
            Ok(hosts) => hosts,
            Err(why) => testkit::skip!("{why}"),
        };
        let ansible = Ansible::new();
        ansible.program("weir", KNOWN_SEEDS);
        let known = format!("weir_controller_program={}", ansible.join("weir").display());
        let play = |more: &[&str]| {
            let mut command = ansible.playbook(&hosts.inventory(), PUSH);
            command.args(["-e", &known]).args(more);
            Run::of(command)
        };
        let seeds = || fs::read_to_string(ansible.join("seeds")).unwrap_or_default().lines().count();

        let check = play(&["--check"]);
        assert_eq!(check.recap("heron"), (1, 0), "{}", check.notable());
        assert_eq!(check.result("push", "heron")["msg"], "it would be given a seed");
        assert_eq!(
            (seeds(), hosts.on("heron", "ls -A /run/weir-seed")),
            (0, "ls: cannot access '/run/weir-seed': No such file or directory".to_owned())
        );

        let first = play(&[]);
        for (host, by) in [("heron", "module"), ("egret", taker())] {
            assert_eq!(first.recap(host), (1, 0), "{}", first.notable());
            let push = first.result("push", host);
            assert_eq!(
                (&push["by"], &push["bytes"], &push["credited_bits"]),
                (&by.into(), &64.into(), &0.into()),
                "{push}"
            );
            assert_eq!((&push["ready_after"], &push["reseeded"]), (&true.into(), &true.into()), "{push}");
            assert!(push.get("seed").is_none());
            let arrivals = hosts.on(host, "cat /run/weir-seed/arrivals");
            assert!(
                arrivals.starts_with("weir-seed arrivals 1\n") && arrivals.contains(" 64 0 yes yes yes"),
                "{arrivals}"
            );
        }
        assert_eq!(seeds(), 2, "one for each");
        let doctor = |host: &str| first.result("doctor", host)["ansible_facts"]["weir_doctor"].clone();
        assert_eq!((&doctor("heron")["by"], &doctor("egret")["by"]), (&"module".into(), &"weir".into()));
        assert_eq!(doctor("heron")["host"]["accounting_bits"], doctor("egret")["host"]["accounting_bits"]);
        assert_eq!((&doctor("heron")["ready"], &doctor("egret")["ready"]), (&true.into(), &true.into()));

        let second = play(&[]);
        assert_eq!((second.recap("heron"), second.recap("egret")), ((0, 0), (0, 0)), "{}", second.notable());
        assert_eq!(play(&["--check"]).recap("heron"), (0, 0));

        // Another boot, and a clone that weir-feed noticed, need a seed of their own.
        hosts.on("heron", "another-boot");
        hosts.on(
            "egret",
            r"mkdir /run/weir-feed; printf 'WEIRGEN1\002\0\0\0\0\0\0\0' > /run/weir-feed/generation",
        );
        let third = play(&[]);
        assert_eq!((third.recap("heron"), third.recap("egret")), ((1, 0), (1, 0)), "{}", third.notable());
        assert_eq!(third.result("push", "egret")["generation"], 2);
        assert_eq!(play(&[]).recap("egret"), (0, 0));

        // Whoever is not root may mix, and no more.
        let user = play(&["-l", "heron", "-e", "{\"again\": true, \"ansible_user\": \"tester\"}"]);
        let push = user.result("push", "heron");
        assert_eq!(
            (&push["changed"], &push["bytes"], &push["reseeded"]),
            (&true.into(), &64.into(), &false.into())
        );
        let warned = push["warnings"].to_string();
        assert!(warned.contains("does not remember") && warned.contains("that takes root"), "{warned}");

        // What is not so for one host fails for that one.
        let failed = play(&["-e", "{\"require\": [\"ready\", \"kernel.draw\"]}"]);
        assert_eq!((failed.recap("heron"), failed.recap("egret")), ((0, 1), (0, 0)), "{}", failed.notable());
        let fault = failed.result("doctor", "heron")["msg"].as_str().unwrap();
        assert!(fault.contains("kernel.draw: cannot be judged, since Weir is not installed"), "{fault}");
    });
}

const HIDING: &str = "
- hosts: all
  gather_facts: false
  tasks:
    - name: push
      weir.randomness.weir_seed:
        always: true
      register: pushed
    - name: one of my own
      weir.randomness.weir_seed:
        seed: \"{{ lookup('weir.randomness.seed') }}\"
        always: true
      register: own
    - name: user data
      ansible.builtin.include_role:
        name: weir.randomness.seed
        tasks_from: user_data
      vars:
        weir_seed_add_to: \"#cloud-config\\npackages: [weir]\\n\"
    - name: to a cloud
      ansible.builtin.command:
        cmd: wc -c
        stdin: \"{{ weir_seed_user_data }}\"
      no_log: true
      register: cloud
    - name: forget
      ansible.builtin.include_role:
        name: weir.randomness.seed
        tasks_from: forget
    - ansible.builtin.debug:
        msg: \"{{ [pushed, own, cloud, hostvars[inventory_hostname]] }}\"
";

#[test]
fn no_seed_is_ever_shown() {
    if let Some(why) = missing() {
        testkit::skip!("{why}");
    }
    testkit::netns::isolated(testkit::test_name!(), || {
        let hosts = match two_hosts() {
            Ok(hosts) => hosts,
            Err(why) => testkit::skip!("{why}"),
        };
        let ansible = Ansible::new();
        ansible.program("weir", KNOWN_SEEDS);
        let known = format!("weir_controller_program={}", ansible.join("weir").display());
        // Ansible's own debug output shows what any module answers, and so what a cloud's module was told: there, ours alone.
        for (play, debug, seeds) in [(HIDING, "false", 6), (PUSH, "true", 8)] {
            let mut command = ansible.playbook(&hosts.inventory(), play);
            command.args(["-vvvvv", "--diff", "-e", &known, "-e", "{\"again\": true}"]);
            command.env("ANSIBLE_DEBUG", debug).env("ANSIBLE_LOG_PATH", ansible.join("log"));
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            assert_eq!(assert_hidden(&ansible, &output), seeds);
            let logged = std::process::Output { stdout: fs::read(ansible.join("log")).unwrap(), ..output };
            assert!(logged.stdout.len() > 1000);
            assert_hidden(&ansible, &logged);
        }
        let left = hosts.on("heron", "ls -A ~/.ansible/tmp 2>/dev/null; grep -rl seed /tmp ~ 2>/dev/null");
        assert_eq!(left, "", "nothing is left on the host");
    });
}

#[test]
fn what_would_leave_a_seed_in_a_file_is_refused() {
    if let Some(why) = missing() {
        testkit::skip!("{why}");
    }
    let ansible = Ansible::new();
    ansible.program("weir", KNOWN_SEEDS);
    let inventory = ansible.locals(&["here"]);
    let known = format!("weir_controller_program={}", ansible.join("weir").display());
    for (play, environment, part) in [
        ("  become: true\n  become_method: su\n  become_user: nobody\n", "", "su cannot pass on"),
        ("", "ANSIBLE_KEEP_REMOTE_FILES", "ANSIBLE_KEEP_REMOTE_FILES"),
    ] {
        let text = format!(
            "- hosts: all\n  gather_facts: false\n{play}  tasks:\n    - name: push\n      weir.randomness.weir_seed:\n"
        );
        let mut command = ansible.playbook(&inventory, &text);
        command.args(["-e", &known]);
        if !environment.is_empty() {
            command.env(environment, "true");
        }
        let run = Run::of(command);
        let message = run.result("push", "here")["msg"].as_str().unwrap().to_owned();
        assert!(
            message.starts_with("the seed would lie in a file on the host: ") && message.contains(part),
            "{message}"
        );
    }
    assert!(!ansible.join("seeds").exists(), "no seed was made for it");
}

/// A stand-in for a Weir on a host, which keeps to what `weir seed receive --json` promises.
const RECEIVES: &str = r#"#!/usr/bin/python3
import json, sys
assert sys.argv[1:6] == ["seed", "receive", "--json", "--from", "ansible"], sys.argv
seed = sys.stdin.buffer.read()
if len(seed) == 33:
    sys.exit("weir: the pool: it is full of fish")
asked = "--credit" in sys.argv
refused = "that takes root" if len(seed) == 34 else None
print(json.dumps(dict(bytes=len(seed), ready_before=False, ready_after=True, more="than this needs",
                      credited_bits=0 if refused or not asked else 512, credit_refused=refused if asked else None,
                      reseeded=not refused, reseed_refused=refused, early_keys=["/etc/ssh/ssh_host_rsa_key"])))
sys.exit("weir: not credited" if refused else 0)
"#;

#[test]
fn weir_takes_the_seed_where_it_is_installed() {
    if let Some(why) = missing() {
        testkit::skip!("{why}");
    }
    testkit::netns::isolated(testkit::test_name!(), || {
        // A /run of its own: what is remembered there is this machine's.
        let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/run"]).status();
        assert!(mounted.unwrap().success());
        takes_the_seed();
    });
}

fn takes_the_seed() {
    let ansible = Ansible::new();
    write_program(&ansible.join("bin/weir"), RECEIVES);
    let inventory = ansible.locals(&["here"]);
    let push = |more: &str| {
        let program = ansible.join("bin/weir");
        let text = format!(
            "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: push\n      weir.randomness.weir_seed:\n        \
             always: true\n        host: a test\n        program: {}\n        {more}\n",
            program.display()
        );
        Run::of(ansible.playbook(&inventory, &text)).result("push", "here").clone()
    };
    let seed_of = |bytes: usize| format!("seed: \"{{{{ lookup('weir.randomness.seed', bytes={bytes}) }}}}\"");
    let taken = push("credit: true");
    let said = |result: &Value| {
        let field = |name: &str| result[name].clone();
        [field("by"), field("bytes"), field("credited_bits"), field("ready_before"), field("reseeded")]
    };
    assert_eq!(
        said(&taken),
        [Value::from("weir"), 64.into(), 512.into(), false.into(), true.into()],
        "{taken}"
    );
    let failed = push(&seed_of(33));
    assert!(
        failed["msg"].as_str().unwrap().ends_with("seed receive failed: weir: the pool: it is full of fish"),
        "{failed}"
    );
    let half = push(&format!("{}\n        credit: true", seed_of(34)));
    assert_eq!((&half["failed"], &half["changed"]), (&true.into(), &true.into()), "{half}");
    assert!(half["msg"].as_str().unwrap().contains("not credited: that takes root"), "{half}");
    let warned = half["warnings"].to_string();
    assert!(
        warned.contains("next reseed of the kernel itself: that takes root")
            && warned.contains("ssh_host_rsa_key"),
        "{warned}"
    );
    for (bad, part) in [("a#seed", "no Base64"), ("AAAA", "has 3 bytes; it takes 32 to 4096")] {
        let refused = push(&format!("seed: \"{bad}\""));
        assert!(refused["msg"].as_str().unwrap().contains(part), "{refused}");
    }
}

/// What the doctor's JSON says of hosts that were recorded, as a Weir that looks at those.
#[test]
fn the_doctor_fails_as_it_is_told_to() {
    if let Some(why) = missing() {
        testkit::skip!("{why}");
    }
    let ansible = Ansible::new();
    let inventory = ansible.locals(&["here"]);
    let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("../weir-kernel/testdata/hosts");
    for (tree, arguments, faults) in [
        ("cloned-vm", "fail_on: critical", &[][..]),
        ("cloned-vm", "fail_on: warning", &["keys.copied"]),
        ("keys-too-early", "fail_on: critical", &["keys.early"]),
        ("keys-too-early", "fail_on: never", &[]),
        ("keys-too-early", "{fail_on: never, require: [ready]}", &[]),
        (
            "keys-too-early",
            "{fail_on: never, require: [keys.early, keys.fine]}",
            &["keys.early: ", "keys.fine: there is no"],
        ),
        (
            "bare-metal",
            "{fail_on: warning, require: [ready, no.such]}",
            &["no.such: there is no such finding"],
        ),
    ] {
        let program = ansible.program(
            "doctor",
            &format!(
                "#!/bin/sh\nexec {} \"$@\" --root {}\n",
                env!("CARGO_BIN_EXE_weir"),
                trees.join(tree).display()
            ),
        );
        let arguments = arguments.trim_matches(['{', '}']);
        let text = format!(
            "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: doctor\n      weir.randomness.weir_doctor: \
             {{program: {}, {arguments}}}\n",
            program.display()
        );
        let run = Run::of(ansible.playbook(&inventory, &text));
        let result = run.result("doctor", "here");
        let found: Vec<&str> =
            result["faults"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(found.is_empty(), faults.is_empty(), "{tree}: {found:?}");
        assert_eq!(result["failed"] == true, !faults.is_empty(), "{tree}: {result}");
        for fault in faults {
            assert!(found.iter().any(|found| found.starts_with(fault)), "{tree}, {fault}: {found:?}");
        }
        let report = &result["ansible_facts"]["weir_doctor"];
        if !faults.is_empty() {
            assert!(report.is_null() && result["verdict"].is_string(), "{tree}: {result}");
            continue;
        }
        assert_eq!(report["by"], "weir");
        assert!(report["findings"].as_array().unwrap().len() > 3);
    }
}
