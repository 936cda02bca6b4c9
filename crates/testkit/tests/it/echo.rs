use std::io::ErrorKind;
use std::time::{Duration, Instant};

use testkit::{Client, Echo, Message, Reply, Then};

#[test]
fn bytes_arrive_as_sent_and_connections_are_kept() {
    let echo = Echo::start();
    let mut client = Client::connect(echo.addr()).unwrap();
    let answer =
        client.send(b"GET /%2F/../a?b=%20 HTTP/1.1\r\nhOsT: A\r\nX-Two: 1\r\nX-Two:  2 \r\n\r\n").unwrap();
    assert_eq!(answer.json()["path"], "/%2F/../a?b=%20");
    assert_eq!(answer.json()["headers"], serde_json::json!([["hOsT", "A"], ["X-Two", "1"], ["X-Two", "2"]]));
    let wire =
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n";
    assert_eq!(client.send(wire).unwrap().json()["body"], "abc");
    assert_eq!(echo.connections(), 1);
    assert_eq!(echo.requests()[1].trailers.get("x-sum"), Some("6"));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let echo = Echo::start();
    let mut client = Client::connect(echo.addr()).unwrap();
    client.write(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(client.read_answer().unwrap().json()["path"], "/1");
    assert_eq!(client.read_answer().unwrap().json()["path"], "/2");
}

#[test]
fn answers_to_head_have_no_body() {
    let echo = Echo::start();
    let mut client = Client::connect(echo.addr()).unwrap();
    let answer = client.request("HEAD", "/", &[], b"").unwrap();
    assert!(answer.body.is_empty() && answer.header("content-length").is_some_and(|length| length != "0"));
    assert_eq!(client.get("/").unwrap().status, 200);
}

#[test]
fn expectations_are_met_before_the_body() {
    let echo = Echo::start();
    let mut client = Client::connect(echo.addr()).unwrap();
    client.write(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n").unwrap();
    assert_eq!(client.read_head().unwrap().status, 100);
    assert_eq!(client.send(b"ok").unwrap().json()["body"], "ok");
}

#[test]
fn interim_answers_are_told_apart() {
    let echo = Echo::start();
    let mut client = Client::connect(echo.addr()).unwrap();
    let answer = client.request("PUT", "/", &[("Expect", "100-continue")], b"ok").unwrap();
    assert_eq!((answer.interim.as_slice(), answer.status), (&[100][..], 200));
}

#[test]
fn connections_end_as_the_test_says() {
    for (then, body) in [(Then::Close, Ok("0123456789")), (Then::Truncate, Err(())), (Then::Hangup, Err(()))]
    {
        for chunked in [false, true] {
            let mut reply = Reply::new(200).body("0123456789").then(then);
            if chunked {
                reply = reply.chunked(4);
            }
            let echo = Echo::with(move |_| reply.clone());
            let mut client = Client::connect(echo.addr()).unwrap();
            match client.get("/") {
                Ok(answer) => {
                    assert_eq!(Ok(answer.text().as_str()), body, "{then:?}");
                    assert_eq!(answer.header("Connection"), Some("close"));
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{then:?}");
                    assert!(body.is_err(), "{then:?}: {error}");
                }
            }
            assert!(client.is_closed().unwrap(), "{then:?}");
        }
    }
}

#[test]
fn statuses_without_body_have_none() {
    let echo = Echo::with(|_| Reply::new(204).header("X-Weir", "1"));
    let mut client = Client::connect(echo.addr()).unwrap();
    for _ in 0..2 {
        let answer = client.get("/").unwrap();
        assert_eq!((answer.status, answer.header("content-length")), (204, None));
    }
}

#[test]
fn an_answer_can_be_late_and_dropping_the_server_does_not_wait_for_it() {
    let delay = Duration::from_millis(30);
    let echo = Echo::with(move |_| Reply::new(200).delay(delay));
    let start = Instant::now();
    assert_eq!(Client::connect(echo.addr()).unwrap().get("/").unwrap().status, 200);
    assert!(start.elapsed() >= delay);

    let echo = Echo::with(|_| Reply::new(200).delay(Duration::from_secs(3600)));
    let mut client = Client::connect(echo.addr()).unwrap();
    client.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(echo.wait_for(1, Client::TIMEOUT)[0].path, "/");
    drop(echo);
    assert!(client.read_answer().is_err());
}

#[test]
fn what_is_not_http_is_refused() {
    let echo = Echo::start();
    for wire in ["GET /\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "GET / HTTP/1.1\r\nbroken\r\n\r\n", "\0\r\n\r\n"]
    {
        let mut client = Client::connect(echo.addr()).unwrap();
        assert_eq!(client.send(wire.as_bytes()).unwrap().status, 400, "{wire:?}");
    }
    assert!(echo.requests().is_empty());
}

#[test]
fn websocket_messages_come_back() {
    let echo = Echo::start();
    let client = Client::connect(echo.addr()).unwrap();
    let mut socket = client.websocket("/chat", &[("Origin", "x")]).unwrap().unwrap();
    socket.send_text("grüezi").unwrap();
    assert_eq!(socket.read().unwrap(), Message::Text("grüezi".into()));
    socket.send_binary(&[0xff; 70_000]).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Binary(vec![0xff; 70_000]));
    socket.close().unwrap();
    assert_eq!(socket.read().unwrap(), Message::Close(1000u16.to_be_bytes().to_vec()));
    assert_eq!(echo.requests()[0].path, "/chat");
}

#[test]
fn a_refused_websocket_is_an_answer() {
    let echo = Echo::with(|_| Reply::new(403).body("not here"));
    let answer = Client::connect(echo.addr()).unwrap().websocket("/", &[]).unwrap().unwrap_err();
    assert_eq!((answer.status, answer.text()), (403, "not here".to_owned()));
}

#[test]
fn closed_connections_are_noticed() {
    let echo = Echo::start();
    let mut client = Client::connect(echo.addr()).unwrap();
    client.get("/").unwrap();
    echo.close_connections();
    assert!(client.is_closed().unwrap());
    assert_eq!(Client::connect(echo.addr()).unwrap().get("/").unwrap().json()["connection"], 1);
}
