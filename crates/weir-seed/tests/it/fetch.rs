//! The client, against servers that say what they should not.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use testkit::{Peer, Scripted};
use weir_kernel::host::arrivals;
use weir_seed::fetch::{Fetch, Server, Trust};
use weir_seed::pollen::Challenge;

/// Longer than any answer here takes.
const LONG: Duration = Duration::from_secs(30);

fn fetch(servers: &[String], timeout: Duration, root: &testkit::TempDir) -> (usize, Vec<(String, String)>) {
    let fetch = Fetch {
        servers: servers.iter().map(|server| server.parse::<Server>().unwrap()).collect(),
        trust: Trust::System,
        provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        timeout,
        wait: false,
        root: root.path().to_owned(),
    };
    let mut said = Vec::new();
    let arrived = fetch.run(|server, result| {
        let text = match result {
            Ok(fetched) => {
                fetched.noted.unwrap();
                format!("{} bytes, {:?} bits", fetched.given.bytes, fetched.given.credited_bits)
            }
            Err(error) => error.to_string(),
        };
        said.push((server.to_string(), text));
    });
    (arrived, said)
}

/// What one server made of it.
fn one(
    script: impl Fn(&mut Peer, usize) -> io::Result<()> + Send + Sync + 'static,
    timeout: Duration,
) -> String {
    let (server, root) = (Scripted::start(script), testkit::TempDir::new());
    let (arrived, mut said) = fetch(&[server.url()], timeout, &root);
    assert_eq!(said.len(), 1, "{said:?}");
    let noted = std::fs::read_to_string(root.join("run/weir-seed/arrivals")).unwrap_or_default();
    assert_eq!(arrivals::parse(&noted).len(), arrived, "what was refused is not noted");
    said.remove(0).1
}

/// Reads a request and gives its challenge.
fn challenge(peer: &mut Peer) -> io::Result<Challenge> {
    let head = peer.read_head()?;
    assert!(head.starts_with("POST / HTTP/1.1\r\n"), "{head}");
    let length =
        head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
    let body = peer.read_bytes(length)?;
    Ok(Challenge::new(body.strip_prefix(b"challenge=").unwrap()).unwrap())
}

fn response(challenge: &Challenge) -> String {
    challenge.response().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 64 bytes that are not the same over and over.
fn seed() -> String {
    (0x5a_u8..).take(64).map(|byte| format!("{byte:02x}")).collect()
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into()
}

fn honest(peer: &mut Peer, _: usize) -> io::Result<()> {
    let challenge = challenge(peer)?;
    peer.write(&ok(&format!("{}\n{}\n", response(&challenge), seed())))
}

#[test]
fn an_answer_is_mixed_in_and_noted() {
    let (server, root) = (Scripted::start(honest), testkit::TempDir::new());
    let (arrived, said) = fetch(&[server.url()], LONG, &root);
    assert_eq!((arrived, said[0].1.as_str()), (1, "64 bytes, Ok(0) bits"));
    let text = std::fs::read_to_string(root.join("run/weir-seed/arrivals")).unwrap();
    let all = arrivals::parse(&text);
    assert_eq!((all.len(), all[0].way.as_str(), all[0].from.as_str()), (1, "fetch", server.url().as_str()));
    assert_eq!((all[0].bytes, all[0].credited_bits), (64, 0));
    assert!(!text.contains(&seed()));
}

#[test]
fn a_challenge_is_fresh_each_time() {
    let (say, hear) = std::sync::mpsc::channel();
    let server = Scripted::start(move |peer, _| {
        let fresh = challenge(peer)?;
        let _ = say.send(fresh.expose().to_vec());
        peer.write(&ok(&format!("{}\n{}\n", response(&fresh), seed())))
    });
    let root = testkit::TempDir::new();
    assert_eq!(fetch(&[server.url(), server.url()], LONG, &root).0, 2);
    let (one, two) = (hear.recv().unwrap(), hear.recv().unwrap());
    assert!(one.len() == 128 && one.iter().all(u8::is_ascii_hexdigit));
    assert_ne!(one, two);
}

#[test]
fn servers_that_lie_are_refused_with_the_reason() {
    let wrong = "a".repeat(128);
    let wrong = one(
        move |peer, _| {
            challenge(peer)?;
            peer.write(&ok(&format!("{wrong}\n{}\n", seed())))
        },
        LONG,
    );
    assert_eq!(
        wrong,
        "it answered with the wrong hash of the challenge, so the answer is not for this request, and was refused"
    );
    let short = one(
        |peer, _| {
            let challenge = challenge(peer)?;
            peer.write(&ok(&format!("{}\n5a5a\n", response(&challenge))))
        },
        LONG,
    );
    assert_eq!(
        short,
        "its seed is of no use: a seed of 2 bytes is too short: it takes 32 to make a generator ready, better 64"
    );
    let zeros = one(
        |peer, _| {
            let challenge = challenge(peer)?;
            peer.write(&ok(&format!("{}\n{}\n", response(&challenge), "0".repeat(128))))
        },
        LONG,
    );
    assert_eq!(zeros, "its seed was not drawn: it is the same bytes over and over; it was refused");
    let portal = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>";
    let answered = |bytes: &'static str| {
        one(
            move |peer, _| {
                challenge(peer)?;
                peer.write(bytes.as_bytes())
            },
            LONG,
        )
    };
    assert_eq!(answered(portal), "it answered with a web page: is this a network that wants a login first?");
    assert_eq!(
        answered("HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nContent-Length: 0\r\n\r\n"),
        "it redirects to http://login.example/; redirects are not followed: name that server itself"
    );
    assert_eq!(
        answered("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"),
        "it answered with status 429"
    );
    assert_eq!(
        answered("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef"),
        "it answered with something that is no seed"
    );
    assert_eq!(
        answered("HTTP/1.1 200 OK\r\nContent-Length: 258\r\n\r\nabc"),
        "it closed the connection before its answer was complete"
    );
    assert_eq!(
        answered("HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\nabc"),
        "it answered with more than 32768 bytes"
    );
    assert_eq!(answered("SSH-2.0-OpenSSH_9.2\r\n"), "it does not speak HTTP/1.1");
    let endless = one(
        |peer, _| {
            challenge(peer)?;
            peer.write(b"HTTP/1.1 200 OK\r\n\r\n")?;
            loop {
                peer.write(&[b'a'; 8192])?;
            }
        },
        LONG,
    );
    assert_eq!(endless, "it answered with more than 32768 bytes");
}

#[test]
fn servers_that_hold_it_up_hold_it_no_longer_than_allowed() {
    let limit = Duration::from_millis(500);
    let start = Instant::now();
    let silent = one(|peer, _| peer.read_head().and_then(|_| peer.wait_for_end()), limit);
    assert_eq!(silent, "no answer within 0.5 s, while waiting for its answer");
    let dripping = one(
        |peer, _| {
            challenge(peer)?;
            peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 258\r\n\r\n")?;
            loop {
                peer.write(b"a")?;
                // The pace of the attack, not a wait for anything.
                std::thread::sleep(Duration::from_millis(20));
            }
        },
        limit,
    );
    assert_eq!(dripping, "no answer within 0.5 s, while waiting for its answer");
    // With a wide margin for a busy machine: what is held up is held up for ever.
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn one_good_server_among_bad_ones_is_enough() {
    let (good, root) = (Scripted::start(honest), testkit::TempDir::new());
    let silent = Scripted::start(|peer, _| peer.wait_for_end());
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let servers = [silent.url(), nobody.clone(), good.url()];
    let (arrived, said) = fetch(&servers, Duration::from_secs(2), &root);
    assert_eq!((arrived, said.len()), (1, 3), "{said:?}");
    let of = |url: &str| said.iter().find(|(server, _)| server == url).unwrap().1.clone();
    assert_eq!(of(&good.url()), "64 bytes, Ok(0) bits");
    assert!(of(&nobody).contains("refused"), "{}", of(&nobody));
    assert!(of(&silent.url()).starts_with("no answer within 2 s"));
}
