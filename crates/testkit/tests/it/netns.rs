use std::net::{TcpListener, TcpStream};

use testkit::netns;

#[test]
fn a_test_gets_default_ports_and_nothing_but_loopback() {
    netns::isolated(testkit::test_name!(), || {
        let listener = TcpListener::bind("127.0.0.1:8000").unwrap();
        TcpStream::connect("127.0.0.1:8000").unwrap();
        drop(listener);
        let links = std::fs::read_to_string("/proc/self/net/dev").unwrap();
        let links: Vec<_> = links.lines().skip(2).filter_map(|line| line.split(':').next()).collect();
        assert_eq!(links.iter().map(|name| name.trim()).collect::<Vec<_>>(), ["lo"]);
    });
}

#[test]
#[should_panic(expected = "inside of the network namespace")]
fn failures_inside_are_failures_outside() {
    if let Err(reason) = netns::available() {
        testkit::report_skip(testkit::test_name!(), reason);
        panic!("inside of the network namespace: skipped");
    }
    netns::isolated(testkit::test_name!(), || std::process::exit(3));
}

#[test]
fn processes_end_with_the_command_that_started_them() {
    if let Err(reason) = netns::available() {
        testkit::skip!("{reason}");
    }
    let dir = testkit::TempDir::new();
    let script = format!(
        "sh -c 'echo up > {0}; exec sleep 601' & while ! test -s {0}; do :; done",
        dir.join("up").display()
    );
    assert!(netns::command("sh").args(["-c", &script]).status().unwrap().success());
    let is_left = |entry: std::io::Result<std::fs::DirEntry>| {
        let command = entry.and_then(|entry| std::fs::read(entry.path().join("cmdline")));
        command.is_ok_and(|command| command == b"sleep\x00601\x00")
    };
    assert!(!std::fs::read_dir("/proc").unwrap().any(is_left));
}
