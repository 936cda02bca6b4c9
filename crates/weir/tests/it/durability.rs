//! What was answered 2xx is there after a crash, and what cannot be read is refused with a sentence.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};
use testkit::{Client, Gateway, TempDir};

use crate::support::{SOON, files_with, launch, refuses_to_start};

/// What a writer was told.
enum Told {
    Created(String),
    Deleted(String),
}

/// Creates services and deletes some of them until nobody answers any more; tells what was answered 2xx.
fn write_until_killed(admin: SocketAddr, prefix: String, told: &mpsc::Sender<Told>) {
    let Ok(mut client) = Client::connect(admin) else { return };
    for number in 0.. {
        let name = format!("{prefix}-{number}");
        let body = json!({"name": name, "host": "upstream.test"}).to_string();
        let kind = [("Content-Type", "application/json")];
        let created = client.request("POST", "/services", &kind, body.as_bytes());
        let Ok(created) = created else { return };
        assert_eq!(created.status, 201, "{}", created.text());
        let _ = told.send(Told::Created(name.clone()));
        if number % 4 == 3 {
            // Whether it is there after a crash is not known from here on, until the answer says that it is not.
            let Ok(deleted) = client.request("DELETE", &format!("/services/{name}"), &[], b"") else {
                return;
            };
            assert_eq!(deleted.status, 204);
            let _ = told.send(Told::Deleted(name));
        }
    }
}

fn names(gateway: &Gateway) -> BTreeSet<String> {
    let (mut names, mut path) = (BTreeSet::new(), "/services?size=1000".to_owned());
    loop {
        let page = gateway.ask_admin("GET", &path, &Value::Null).json();
        names.extend(page["data"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None => return names,
        }
    }
}

#[test]
fn every_answered_write_survives_kill_9() {
    let dir = TempDir::new();
    let (mut there, mut gone) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..6 {
        let mut gateway = launch().prefix(dir.path()).start();
        let found = names(&gateway);
        let lost: Vec<_> = there.difference(&found).collect();
        let risen: Vec<_> = gone.intersection(&found).collect();
        assert!(lost.is_empty() && risen.is_empty(), "round {round}: lost {lost:?}, risen {risen:?}");
        let (admin, (sender, receiver)) = (gateway.admin(), mpsc::channel());
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let sender = sender.clone();
                thread::spawn(move || write_until_killed(admin, format!("r{round}-w{writer}"), &sender))
            })
            .collect();
        drop(sender);
        // Killed at a different point of their work each time.
        for _ in 0..5 + 7 * round {
            note(receiver.recv_timeout(SOON).unwrap(), &mut there, &mut gone);
        }
        gateway.kill();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        receiver.iter().for_each(|told| note(told, &mut there, &mut gone));
        // One that was to be deleted and whose deletion nobody answered may be there or not.
        there.retain(|name| !name.rsplit('-').next().unwrap().parse::<u32>().is_ok_and(|n| n % 4 == 3));
    }
    assert!(there.len() > 50, "{}", there.len());
}

fn note(told: Told, there: &mut BTreeSet<String>, gone: &mut BTreeSet<String>) {
    match told {
        Told::Created(name) => drop(there.insert(name)),
        Told::Deleted(name) => {
            there.remove(&name);
            gone.insert(name);
        }
    }
}

#[test]
fn a_clean_stop_leaves_one_file_and_a_start_finds_it() {
    let dir = TempDir::new();
    let mut gateway = launch().prefix(dir.path()).start();
    gateway.post("/consumers", &json!({"username": "alice"}));
    assert!(gateway.terminate(SOON).unwrap().success());
    assert!(!dir.join("weir.db-wal").exists(), "the log is folded into the database");
    assert!(!dir.join("run/listeners.json").exists());
    let gateway = launch().prefix(dir.path()).start();
    assert_eq!(gateway.ask_admin("GET", "/consumers/alice", &Value::Null).status, 200);
}

/// A folder that a gateway made and left in order.
fn used_prefix() -> TempDir {
    let dir = TempDir::new();
    let mut gateway = launch().prefix(dir.path()).start();
    gateway.post("/consumers", &json!({"username": "alice"}));
    gateway.post("/consumers/alice/key-auth", &json!({}));
    assert!(gateway.terminate(SOON).unwrap().success());
    dir
}

#[test]
fn a_newer_database_is_refused() {
    let dir = used_prefix();
    // The user version is a big-endian number at offset 60 (sqlite.org/fileformat2.html, 1.3).
    let mut file = fs::File::options().write(true).open(dir.join("weir.db")).unwrap();
    file.seek(SeekFrom::Start(60)).unwrap();
    file.write_all(&4711u32.to_be_bytes()).unwrap();
    drop(file);
    let before = fs::read(dir.join("weir.db")).unwrap();
    let said = refuses_to_start(dir.path(), &[]);
    assert!(said.contains("version 4711") && said.contains("start the newer Weir"), "{said}");
    assert_eq!(fs::read(dir.join("weir.db")).unwrap(), before, "it is left as it is");
}

#[test]
fn an_unreadable_database_is_refused() {
    let database = |dir: &TempDir| dir.join("weir.db");
    let garbage = used_prefix();
    fs::write(database(&garbage), "not a database, and long enough to be looked at\n".repeat(200)).unwrap();
    let said = refuses_to_start(garbage.path(), &[]);
    assert!(said.contains("the database") && said.contains("not a database"), "{said}");

    let folder = used_prefix();
    fs::remove_file(database(&folder)).unwrap();
    fs::create_dir(database(&folder)).unwrap();
    let said = refuses_to_start(folder.path(), &[]);
    assert!(said.contains("the database") && said.contains("unable to open"), "{said}");

    // Its first page is in order, the others are not.
    let damaged = used_prefix();
    let mut bytes = fs::read(database(&damaged)).unwrap();
    bytes[4096..].fill(0xa5);
    fs::write(database(&damaged), bytes).unwrap();
    let said = refuses_to_start(damaged.path(), &[]);
    assert!(said.contains("malformed"), "{said}");
}

#[test]
fn a_database_without_its_key_is_refused() {
    let lost = used_prefix();
    fs::remove_file(lost.join("secrets/store.key")).unwrap();
    let said = refuses_to_start(lost.path(), &[]);
    assert!(said.contains("put the key back") && said.contains("store.key"), "{said}");
    assert!(!lost.join("secrets/store.key").exists(), "no other key takes its place");

    let other = used_prefix();
    let foreign = used_prefix();
    fs::copy(foreign.join("secrets/store.key"), other.join("secrets/store.key")).unwrap();
    let said = refuses_to_start(other.path(), &[]);
    assert!(said.contains("sealed with another key"), "{said}");

    let open = used_prefix();
    let mut permissions = fs::metadata(open.join("secrets/store.key")).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    fs::set_permissions(open.join("secrets/store.key"), permissions).unwrap();
    let said = refuses_to_start(open.path(), &[]);
    assert!(said.contains("others may read it") && said.contains("chmod 600"), "{said}");

    let short = used_prefix();
    fs::write(short.join("secrets/store.key"), "abc\n").unwrap();
    let said = refuses_to_start(short.path(), &[]);
    assert!(said.contains("64 hexadecimal digits"), "{said}");
}

#[test]
fn no_file_and_no_log_holds_a_secret() {
    let dir = TempDir::new();
    let mut gateway = launch().prefix(dir.path()).env("WEIR_LOG_LEVEL", "debug").start();
    gateway.post("/consumers", &json!({"username": "alice"}));
    let minted = gateway.post("/consumers/alice/key-auth", &json!({}))["key"].as_str().unwrap().to_owned();
    let chosen = "chosen-by-the-operator-himself";
    gateway.post("/consumers/alice/key-auth", &json!({"key": chosen}));
    let gone = gateway.post("/consumers/alice/key-auth", &json!({"key": "deleted-before-anybody-looked"}));
    let path = format!("/key-auths/{}", gone["id"].as_str().unwrap());
    assert_eq!(gateway.ask_admin("DELETE", &path, &Value::Null).status, 204);
    let secrets = [minted.as_str(), chosen, "deleted-before-anybody-looked"];
    let nowhere = |when: &str| {
        for secret in secrets {
            assert_eq!(files_with(dir.path(), secret), Vec::<String>::new(), "{when}");
        }
    };
    nowhere("while it runs");
    gateway.kill();
    nowhere("after a crash");
    let mut gateway = launch().prefix(dir.path()).start();
    // Shown to who may ask, opened with the key of this prefix.
    let shown = gateway.ask_admin("GET", "/consumers/alice/key-auth", &Value::Null).text();
    assert!(shown.contains(&minted) && shown.contains(chosen), "{shown}");
    assert!(gateway.terminate(SOON).unwrap().success());
    nowhere("after a clean stop");
}

#[test]
fn only_the_owner_may_look_at_what_is_kept() {
    use std::os::unix::fs::MetadataExt;
    let dir = TempDir::new();
    let prefix = dir.join("made/by/weir");
    let gateway = launch().args(["start".into(), "--prefix".into(), prefix.clone().into_os_string()]);
    let gateway = gateway.prefix(&prefix).env("WEIR_ADMIN_AUTH", "token").start();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    for folder in ["run", "secrets", "ssl"] {
        assert_eq!(mode(&prefix.join(folder)), 0o700, "{folder}");
    }
    for secret in ["secrets/store.key", "secrets/admin.token", "ssl/self-signed.key"] {
        assert_eq!(mode(&prefix.join(secret)), 0o600, "{secret}");
    }
    drop(gateway);
}

/// A shell that puts a small file system below `$0/full` and becomes the program, with `run` where others see it.
pub(crate) const SMALL_DISK: &str = "mkdir -p \"$0/full\" \"$0/run\" && mount -t tmpfs -o size=1m,mode=700 tmpfs \"$0/full\" \
    && ln -s \"$0/run\" \"$0/full/run\" && head -c 300000 /dev/zero > \"$0/full/ballast\" && exec \"$@\"";

#[test]
fn a_full_disk_loses_nothing() {
    let works = Command::new("unshare").args(["--mount", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        testkit::skip!("no mount namespace: needs root and unshare");
    }
    let dir = TempDir::new();
    let home = dir.path().to_str().unwrap();
    let gateway = launch()
        .under(["unshare", "--mount", "sh", "-c", SMALL_DISK, home])
        .args(["start", "--prefix", &format!("{home}/full")])
        .prefix(dir.path())
        .start();
    let tags: Vec<String> = (0..100).map(|n| format!("{n:0>120}")).collect();
    let mut written = BTreeSet::new();
    let refused = loop {
        let name = format!("s{}", written.len());
        let answer =
            gateway.ask_admin("POST", "/services", &json!({"name": name, "host": "a.test", "tags": tags}));
        if answer.status != 201 {
            break answer;
        }
        written.insert(name);
        assert!(written.len() < 1000, "the disk does not become full");
    };
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert_eq!(refused.json()["message"], "the disk is full: nothing was changed");
    assert_eq!(names(&gateway), written, "what was answered 201, and nothing else");
    let status = gateway.ask_admin("GET", "/status", &Value::Null).json();
    assert_eq!(status["database"]["reachable"], true);
    // Room again: seen from outside through the process's own root.
    fs::remove_file(format!("/proc/{}/root{home}/full/ballast", gateway.pid())).unwrap();
    gateway.post("/services", &json!({"name": "after", "host": "a.test"}));
    written.insert("after".to_owned());
    assert_eq!(names(&gateway), written);
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}
