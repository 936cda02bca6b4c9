//! `weir mint`

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use serde_json::Value;

use crate::command::{stdout, weir, with_getrandom};

/// The lines of a run's output as JSON.
fn objects(arguments: &str) -> Vec<Value> {
    stdout(arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The status and the message of a run.
fn refused(arguments: &str) -> (Option<i32>, String) {
    let output = weir(arguments).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments}");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn tokens() {
    let token = stdout("mint token");
    assert_eq!(token.len(), 33);
    assert!(token.trim_end().bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let many: HashSet<String> = stdout("mint token -n 5000").lines().map(str::to_owned).collect();
    assert_eq!(many.len(), 5000);
    assert_eq!(stdout("mint token --bits 256 --alphabet hex").len(), 65);
    assert!(
        stdout("mint token --characters ab --length 100")
            .trim_end()
            .bytes()
            .all(|byte| b"ab".contains(&byte))
    );
    assert_eq!(stdout("mint token --prefix acme_ --checksum").trim_end().len(), 5 + 32 + 6);
    let key = stdout("mint token --kind key");
    assert_eq!(weir_mint::scannable::recognise(key.trim_end()).unwrap().as_str(), "key");
    let object = &objects("mint token --json")[0];
    assert_eq!(object["strength_bits"], 190.5);
    assert_eq!(object["token"].as_str().unwrap().len(), 32);
}

#[test]
fn uuids() {
    let uuid: weir_mint::Uuid = stdout("mint uuid").trim_end().parse().unwrap();
    assert_eq!(uuid.version(), 4);
    let objects = objects("mint uuid --v7 -n 3 --json");
    assert_eq!(objects.len(), 3);
    assert!(objects.iter().all(|object| object["version"] == 7));
}

#[test]
fn bytes_go_out_raw_and_whole() {
    for (size, length) in [("0", 0), ("1", 1), ("64KiB", 65_536), ("3M", 3 << 20), ("1kB", 1000)] {
        let output = weir(&format!("mint bytes {size}")).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(0), length), "{size}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "no progress where there is no terminal");
    }
    assert_eq!(stdout("mint bytes 32 --format hex -n 3").lines().map(str::len).collect::<Vec<_>>(), [64; 3]);
    assert_eq!(stdout("mint bytes 32 --format base64").trim_end().len(), 44);
    let object = &objects("mint bytes 16 --json")[0];
    assert_eq!((object["bytes"].as_u64(), object["hex"].as_str().map(str::len)), (Some(16), Some(32)));
}

#[test]
fn passwords() {
    assert_eq!(stdout("mint password").trim_end().len(), 20);
    assert!(stdout("mint password --classes digit --length 6").trim_end().parse::<u32>().is_ok());
    let object = &objects("mint password --words 6 --separator _ --json")[0];
    assert_eq!(object["strength_bits"], 77.5);
    assert_eq!(object["password"].as_str().unwrap().split('_').count(), 6);
}

#[test]
fn integers() {
    let throws: HashSet<String> = stdout("mint int 1 6 -n 1000").lines().map(str::to_owned).collect();
    // A face that stays away: odds of 6 * (5/6)^1000 = 10^-78.
    assert_eq!(throws, (1..=6).map(|face: u8| face.to_string()).collect());
    assert!((-10..=-5).contains(&stdout("mint int -10 -5").trim_end().parse().unwrap()));
    assert!(stdout("mint int 18446744073709551614 18446744073709551615").starts_with("1844674407370955161"));
    assert_eq!(objects("mint int 7 7 --json")[0]["int"], 7);
}

#[test]
fn shuffles() {
    let mut items: Vec<String> = stdout("mint shuffle c a b").lines().map(str::to_owned).collect();
    items.sort();
    assert_eq!(items, ["a", "b", "c"]);
    let mut child =
        weir("mint shuffle -n 2 --null").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"x\0\xff\n\0z").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout.iter().filter(|byte| **byte == 0).count(), 2);
    assert_eq!(objects("mint shuffle only --json")[0]["item"], "only");
    let (status, message) = refused("mint shuffle --lines /nonexistent");
    assert_eq!(status, Some(1));
    assert!(message.contains("/nonexistent"), "{message}");
}

#[test]
fn wrong_usage_is_said_in_one_sentence() {
    for (arguments, part) in [
        ("mint int 5 1", "empty"),
        ("mint int 0 99999999999999999999", "64 bits"),
        ("mint token --length 0", "random characters"),
        ("mint token --characters aa", "twice"),
        ("mint token --kind Key", "lower-case"),
        ("mint token --prefix é", "printable ASCII"),
        ("mint password --length 3", "each class"),
        ("mint password --words 100", "64 words"),
        ("mint bytes 2M --json", "too long for JSON"),
        ("mint bytes 1X", "units"),
        ("mint bytes 16E", "units"),
        ("mint bytes 999999T -n 99999999", "64 bits"),
    ] {
        let (status, message) = refused(arguments);
        assert_eq!(status, Some(2), "{arguments}: {message}");
        assert!(message.contains(part), "{arguments}: {message}");
    }
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    for arguments in ["mint bytes 1T", "mint token -n 1000000000", "mint bytes 1G --format hex"] {
        let mut child = weir(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0; 100]).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments}");
    }
}

#[test]
fn a_long_stream_shows_its_progress_on_a_terminal_and_wipes_it() {
    let dir = testkit::TempDir::new();
    let fifo = dir.join("bytes");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // Open for both, so that the open waits for nobody.
    let mut bytes = File::options().read(true).write(true).open(&fifo).unwrap();
    let minting = format!("{} mint bytes 1T > {}", env!("CARGO_BIN_EXE_weir"), fifo.display());
    let mut on_terminal = Command::new("script");
    on_terminal.args(["-qec", &minting, "/dev/null"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let Ok(mut child) = on_terminal.spawn() else { testkit::skip!("no script(1)") };
    let enough = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let enough = Arc::clone(&enough);
        move || while !enough.load(SeqCst) && bytes.read(&mut [0; 65_536]).is_ok() {}
    });
    let mut terminal = child.stdout.take().unwrap();
    let (mut shown, mut piece) = (String::new(), [0; 256]);
    while !shown.contains(" left") {
        let length = terminal.read(&mut piece).unwrap();
        assert_ne!(length, 0, "it ended: {shown:?}");
        shown.push_str(&String::from_utf8_lossy(&piece[..length]));
    }
    assert!(shown.contains("\r\x1b[K[") && shown.contains("] 0 %  "), "{shown:?}");
    enough.store(true, SeqCst);
    reader.join().unwrap();
    terminal.read_to_string(&mut shown).unwrap();
    assert!(shown.ends_with("\r\x1b[K"), "{shown:?}");
    assert!(child.wait().unwrap().success(), "a closed pipe is no failure");
}

#[test]
fn a_full_pipe_is_waited_for_even_if_it_does_not_block() {
    let (mut from_child, to_test) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&to_test, true).unwrap();
    let mut child = weir("mint bytes 1M").stdout(to_test).stderr(Stdio::piped()).spawn().unwrap();
    // Until a write met a full pipe, or the child gave up.
    let is_full = || rustix::io::ioctl_fionread(&from_child).unwrap() >= 65_536;
    while !is_full() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let mut bytes = Vec::new();
    from_child.read_to_end(&mut bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), bytes.len()), (Some(0), 1 << 20), "{output:?}");
}

#[test]
fn a_full_disk_is_an_error() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = weir("mint bytes 1M").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("No space left"));
}

#[test]
fn a_kernel_that_does_not_give_means_nothing_is_minted() {
    for (error, status, part) in
        [("EAGAIN", 3, "is not ready yet"), ("ENOSYS", 1, "no getrandom"), ("EPERM", 1, "seccomp")]
    {
        for arguments in ["mint token", "mint uuid", "mint bytes 8", "mint int 1 2", "mint shuffle a b"] {
            let Some(output) = with_getrandom(error, arguments) else {
                testkit::skip!("no strace that may trace");
            };
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(status), "{arguments}: {message}");
            assert_eq!(message.lines().count(), 1, "{arguments}: {message}");
            assert!(message.contains(part), "{arguments}: {message}");
            assert_eq!(output.stdout, b"", "{arguments}");
        }
    }
}

#[test]
fn waiting_ends_when_the_kernel_is_ready_or_patience_does() {
    let Some(output) = with_getrandom("EAGAIN:when=1..8", "mint token --wait") else {
        testkit::skip!("no strace that may trace");
    };
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 33));
    let output = with_getrandom("EAGAIN", "mint token --wait=1").unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("still not ready after 1 s") && message.lines().count() == 1, "{message}");
}
