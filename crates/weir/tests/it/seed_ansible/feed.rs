//! The daemon's role, on hosts with a systemd of their own and on one without.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::hosts::Hosts;
use super::{Ansible, Run, missing, write_program};

/// A stand-in for the daemon, which tells systemd that it is ready as the real one does, and says what it was told.
const DAEMON: &str = r#"#!/usr/bin/python3
import os, signal, socket, sys
if "--version" in sys.argv:
    sys.exit(print("weir-feed 0.1.0"))
os.makedirs("/run/weir-feed", exist_ok=True)
if "--of-no-use" in sys.argv:
    open("/run/weir-feed/status", "w").write("weir-feed status 1\nphase ended\nnote of no use on this host: it is a test\n")
else:
    open("/run/weir-feed/status", "w").write("weir-feed status 1\nphase steady\narguments " + " ".join(sys.argv[1:]) + "\n")
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
if "--of-no-use" not in sys.argv:
    signal.pause()
"#;

const PLAY: &str = "
- hosts: all
  gather_facts: false
  roles:
    - weir.randomness.feed
";

fn start() -> Result<Hosts, String> {
    Hosts::start(&["heron:systemd", "egret:systemd-rocky", "image:plain"], |_| ())
}

/// Runs the role with these variables.
fn role(ansible: &Ansible, inventory: PathBuf, variables: &serde_json::Value, more: &[&str]) -> Run {
    let mut command = ansible.playbook(&inventory, PLAY);
    command.env("ANSIBLE_PIPELINING", "true").arg("-e").arg(variables.to_string()).args(more);
    Run::of(command)
}

#[test]
fn the_daemon_is_installed_kept_and_removed() {
    if let Some(why) = missing() {
        testkit::skip!("{why}");
    }
    if !std::path::Path::new("/usr/lib/systemd/systemd").exists() {
        testkit::skip!("there is no systemd");
    }
    testkit::netns::isolated(testkit::test_name!(), || {
        let hosts = match start() {
            Ok(hosts) => hosts,
            Err(why) => testkit::skip!("{why}"),
        };
        let ansible = Ansible::new();
        let program = ansible.join("weir-feed");
        write_program(&program, DAEMON);
        let mut variables = serde_json::json!({
            "weir_feed_program": program,
            "weir_feed_arguments": ["-v", "2"],
            "weir_feed_hooks": ["10-machine-id"],
        });
        let all = ["heron", "egret", "image"];
        let run =
            |variables: &serde_json::Value, more: &[&str]| role(&ansible, hosts.inventory(), variables, more);

        let check = run(&variables, &["--check", "--diff"]);
        for host in all {
            let (changed, failed) = check.recap(host);
            assert!(changed >= 6 && failed == 0, "{host}: {}", check.notable());
            assert!(hosts.on(host, "ls /usr/local/sbin /etc/weir").contains("No such file"));
        }
        assert_eq!(check.result("Start the service", "heron")["changed"], true);

        let first = run(&variables, &[]);
        for host in all {
            assert_eq!(first.recap(host).1, 0, "{}", first.notable());
            assert_eq!(hosts.on(host, "SYSTEMD_OFFLINE=1 systemctl is-enabled weir-feed.service"), "enabled");
            assert!(
                hosts
                    .on(host, "cat /etc/systemd/system/weir-feed.service")
                    .contains("ExecStart=/usr/local/sbin/weir-feed --if-useful")
            );
            assert_eq!(hosts.on(host, "stat -c %a /etc/weir/clone.d/10-machine-id"), "755");
        }
        for host in ["heron", "egret"] {
            assert_eq!(hosts.on(host, "systemctl is-active weir-feed.service"), "active");
            assert!(hosts.on(host, "cat /run/weir-feed/status").contains("arguments --if-useful -v 2"));
        }

        let second = run(&variables, &[]);
        for host in all {
            assert_eq!(second.recap(host), (0, 0), "{host}: {}", second.notable());
        }

        // Stopped by hand it is started again; with other arguments it is started anew.
        hosts.on("heron", "systemctl stop weir-feed.service");
        let third = run(&variables, &[]);
        assert_eq!((third.recap("heron"), third.recap("egret")), ((1, 0), (0, 0)), "{}", third.notable());
        variables["weir_feed_arguments"] = serde_json::json!(["--of-no-use"]);
        let of_no_use = run(&variables, &[]);
        assert_eq!(of_no_use.recap("egret"), (2, 0), "{}", of_no_use.notable());
        assert_eq!(hosts.on("egret", "systemctl is-active weir-feed.service"), "inactive");
        let settled = run(&variables, &[]);
        for host in all {
            assert_eq!(settled.recap(host), (0, 0), "{host}: {}", settled.notable());
        }

        variables["weir_feed_state"] = "absent".into();
        let removed = run(&variables, &[]);
        for host in all {
            assert_eq!(removed.recap(host).1, 0, "{}", removed.notable());
            let left = hosts.on(
                host,
                "find /etc /usr/local /var/lib -name '*weir*' ! -name '*.d' | grep -v '^/etc/weir'",
            );
            assert_eq!(left, "", "{host}");
        }
    });
}

#[test]
fn wrong_variables_are_told_before_anything_changes() {
    if let Some(why) = missing() {
        testkit::skip!("{why}");
    }
    let ansible = Ansible::new();
    let inventory = ansible.locals(&["here"]);
    let program = ansible.program("weir-feed", DAEMON);
    let sha = "0".repeat(64);
    for (variables, part) in [
        (serde_json::json!({}), "Give one of"),
        (serde_json::json!({"weir_feed_program": program, "weir_feed_package": "weir-feed"}), "Give one of"),
        (serde_json::json!({"weir_feed_url": "https://x.test/weir-feed"}), "a URL takes weir_feed_checksum"),
        (serde_json::json!({"weir_feed_program": program, "weir_feed_checksum": "md5:0"}), "sha256: and"),
        (serde_json::json!({"weir_feed_program": program, "weir_feed_arguments": ["a b"]}), "have no blank"),
        (
            serde_json::json!({"weir_feed_program": program, "weir_feed_arguments": ["$HOME"]}),
            "have no blank",
        ),
        (
            serde_json::json!({"weir_feed_program": program, "weir_feed_state": "gone"}),
            "value of weir_feed_state",
        ),
        (
            serde_json::json!({"weir_feed_program": program, "weir_feed_hooks": ["x"]}),
            "value of weir_feed_hooks",
        ),
        (serde_json::json!({"weir_feed_program": "none/such"}), "is not there"),
        (
            serde_json::json!({"weir_feed_program": program, "weir_feed_checksum": format!("sha256:{sha}")}),
            "and not sha256:0000",
        ),
    ] {
        // In check mode, so that not even a fault in the role could change this machine.
        let run = role(&ansible, inventory.clone(), &variables, &["--check"]);
        let (changed, failed) = run.recap("here");
        assert_eq!((changed, failed), (0, 1), "{variables}: {}", run.notable());
        assert!(run.notable().contains(part), "{variables}: {}", run.notable());
    }
}

/// A cloud of the test's own: whoever creates an instance gets the host that runs already, and what it was told is kept.
const CLOUD: &str = r#"#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule
import json
names = "name region image_id instance_type key_name vpc_subnet_id security_group user_data state".split()
spec = dict((name, dict(type="str")) for name in names)
spec.update(network=dict(type="dict"), metadata_options=dict(type="dict"), wait=dict(type="bool"))
module = AnsibleModule(argument_spec=spec)
if module.params["name"] == "stork":
    module.fail_json(msg="no room for a stork")
number = ["heron", "egret"].index(module.params["name"]) + 1
with open("CREATED/" + module.params["name"], "w") as created:
    json.dump(module.params, created)
module.exit_json(changed=True, instances=[dict(private_ip_address="10.77.%d.2" % number)])
"#;

#[test]
fn machines_are_provisioned_from_beginning_to_end() {
    if let Some(why) = missing() {
        testkit::skip!("{why}");
    }
    testkit::netns::isolated(testkit::test_name!(), || {
        let hosts = match Hosts::start(&["heron:systemd", "egret:systemd-rocky"], |_| ()) {
            Ok(hosts) => hosts,
            Err(why) => testkit::skip!("{why}"),
        };
        let ansible = Ansible::new();
        let program = ansible.program("weir-feed", DAEMON);
        let created = ansible.join("created");
        fs::create_dir(&created).unwrap();
        let cloud = ansible.join("ansible_collections/amazon/aws/plugins/modules/ec2_instance.py");
        write_program(&cloud, &CLOUD.replace("CREATED", created.to_str().unwrap()));
        let login = hosts.inventory_variables();
        let variables = serde_json::json!({
            "weir_provider": "ec2",
            "weir_machines": [{"name": "heron"}, {"name": "egret", "user_data": "#!/bin/sh\necho born\n"}],
            "weir_ec2": {"region": "eu-north-1", "image_id": "ami-0", "key_name": "k", "user": "root"},
            "weir_controller_program": "",
            "weir_feed_program": program,
            "weir_reboot_command": "/usr/local/bin/another-boot",
        });
        let provision = |variables: &serde_json::Value| {
            let mut command: Command = ansible.command("ansible-playbook");
            command.args(["-i", "localhost,", "weir.randomness.provision", "-e"]).arg(variables.to_string());
            command.arg("-e").arg(login.to_string());
            Run::of(command)
        };
        let boots = || ["heron", "egret"].map(|host| hosts.on(host, "cat /proc/sys/kernel/random/boot_id"));
        let before = boots();
        let run = provision(&variables);
        let after = boots();
        for (at, host) in ["heron", "egret"].into_iter().enumerate() {
            assert_eq!(run.recap(host).1, 0, "{}", run.notable());
            assert_ne!(before[at], after[at], "{host} was restarted");
            let given = hosts.on(host, "cat /run/weir-seed/given");
            assert!(given.contains(&after[at]), "a seed for the new boot: {given}");
            assert_eq!(
                run.result("See that randomness is good", host)["ansible_facts"]["weir_doctor"]["ready"],
                true
            );
            let told = fs::read_to_string(created.join(host)).unwrap();
            let told: serde_json::Value = serde_json::from_str(&told).unwrap();
            assert!(told["user_data"].as_str().unwrap().contains("random_seed:"));
            assert_eq!(told["metadata_options"]["http_tokens"], "required");
        }
        let told = |host: &str| fs::read_to_string(created.join(host)).unwrap();
        assert!(told("egret").contains("echo born") && told("heron") != told("egret"));

        let mut full = variables.clone();
        full["weir_machines"] = serde_json::json!([{"name": "stork"}]);
        let run = provision(&full);
        assert_eq!(run.recap("localhost").1, 1);
        assert!(run.notable().contains("stork: no room for a stork"), "{}", run.notable());
    });
}

/// A stand-in for libvirt: `virt-install` keeps what the machine would be told, and how well that was kept from others.
const VIRT_INSTALL: &str = r#"#!/bin/sh
for argument; do
    case $argument in
    --cloud-init=user-data=*)
        files=${argument#--cloud-init=user-data=}
        user=${files%%,*}
        cp "$user" BIN/told
        stat -c %a "$user" "${user%/*}" > BIN/modes
        ;;
    esac
done
printf '%s\n' "$@" > BIN/arguments
"#;
const VIRSH: &str = "#!/bin/sh\ncase $1 in\ndominfo) exit 1 ;;\n\
    domifaddr) echo ' vnet0  52:54:00:00:00:01  ipv4  192.0.2.7/24' ;;\nesac\n";

#[test]
fn a_virtual_machine_is_told_its_seed_and_nobody_else_is() {
    if let Some(why) = missing() {
        testkit::skip!("{why}");
    }
    let ansible = Ansible::new();
    let bin = ansible.join("bin");
    write_program(&bin.join("virt-install"), &VIRT_INSTALL.replace("BIN", bin.to_str().unwrap()));
    write_program(&bin.join("virsh"), VIRSH);
    let inventory = ansible.locals(&["localhost"]);
    let variables = serde_json::json!({
        "weir_provider": "libvirt",
        "weir_machines": [{"name": "heron", "user_data": "#!/bin/sh\necho born\n"}],
        "weir_libvirt": {"image": "/images/debian.qcow2"},
        "weir_controller_program": "",
    });
    let mut command = ansible.command("ansible-playbook");
    command.arg("-i").arg(inventory).args(["-l", "localhost", "weir.randomness.provision", "-e"]);
    command.arg(variables.to_string());
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", bin.display()));
    let run = Run::of(command);
    assert_eq!(run.recap("localhost").1, 0, "{}", run.notable());
    let said = |name: &str| fs::read_to_string(bin.join(name)).unwrap();
    assert!(said("told").contains("random_seed:") && said("told").contains("echo born"));
    assert_eq!(said("modes"), "600\n700\n");
    let arguments = said("arguments");
    assert!(
        arguments.contains(
            "--disk=path=/var/lib/libvirt/images/heron.qcow2,size=10,backing_store=/images/debian.qcow2\n"
        ),
        "{arguments}"
    );
    let folder = arguments.lines().find_map(|line| line.strip_prefix("--cloud-init=user-data=")).unwrap();
    assert!(!std::path::Path::new(folder.split(',').next().unwrap()).exists(), "the folder is removed");
    assert_eq!(
        run.result("Have it in the inventory", "localhost")["add_host"]["host_vars"]["ansible_host"],
        "192.0.2.7"
    );
}
