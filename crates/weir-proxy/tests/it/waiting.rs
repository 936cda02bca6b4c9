//! Phases that wait: `Flow::Wait`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use http::StatusCode;
use testkit::Echo;
use tokio::sync::watch;
use weir_plugin::{Answer, Ctx, Finished, Flow, Headers, Outcome, Phases, Plugin};
use weir_proxy::Update;

use crate::support::Proxy;

const SOON: Duration = Duration::from_secs(20);

/// Waits at a gate, so many times one after the other, and then goes on as it is told to.
struct Waiter {
    gate: watch::Receiver<bool>,
    arrived: Mutex<mpsc::Sender<()>>,
    times: usize,
    body: bool,
    then: fn(&mut Ctx<'_>) -> Flow,
}

impl Plugin for Waiter {
    fn phases(&self) -> Phases {
        Phases { access: true, body: self.body, ..Phases::default() }
    }

    fn access(&self, ctx: &mut Ctx<'_>) -> Flow {
        ctx.headers.set("X-Before", "set before it waited");
        let _ = self.arrived.lock().unwrap().send(());
        wait(self.gate.clone(), self.times, self.then)
    }
}

fn wait(mut gate: watch::Receiver<bool>, times: usize, then: fn(&mut Ctx<'_>) -> Flow) -> Flow {
    Flow::Wait(Box::pin(async move {
        let _ = gate.wait_for(|open| *open).await;
        // Into the event loop and back, even where the gate is open already.
        tokio::task::yield_now().await;
        let resume: weir_plugin::Resume = Box::new(move |ctx| {
            ctx.headers.append("X-Waited", "once");
            if times > 1 { wait(gate, times - 1, then) } else { then(ctx) }
        });
        resume
    }))
}

/// A gate with its opener, and a waiter at it that tells when requests arrive.
fn gate(times: usize, then: fn(&mut Ctx<'_>) -> Flow) -> (watch::Sender<bool>, mpsc::Receiver<()>, Waiter) {
    let (open, gate) = watch::channel(false);
    let (arrived, arrival) = mpsc::channel();
    (open, arrival, Waiter { gate, arrived: Mutex::new(arrived), times, body: false, then })
}

/// Notes which of its phases ran, and how the request ended.
#[derive(Default)]
struct Witness {
    access: AtomicUsize,
    header_filter: AtomicUsize,
    finished: Mutex<Vec<Finished>>,
}

impl Plugin for Witness {
    fn phases(&self) -> Phases {
        Phases { access: true, header_filter: true, log: true, ..Phases::default() }
    }

    fn access(&self, ctx: &mut Ctx<'_>) -> Flow {
        self.access.fetch_add(1, Ordering::SeqCst);
        let seen = ctx.headers.get_all("X-Waited").count().to_string();
        ctx.headers.set("X-Seen", seen);
        Flow::Continue
    }

    fn header_filter(&self, _: &mut Ctx<'_>, response: &mut Headers) {
        self.header_filter.fetch_add(1, Ordering::SeqCst);
        response.set("X-Witness", "was here");
    }

    fn log(&self, _: &Ctx<'_>, finished: &Finished) {
        self.finished.lock().unwrap().push(*finished);
    }
}

#[test]
fn what_it_waited_for_goes_on_with_the_request() {
    let echo = Echo::start();
    let (open, _arrival, waiter) = gate(3, |_| Flow::Continue);
    let witness = Arc::new(Witness::default());
    open.send_replace(true);
    let proxy = Proxy::start(echo.addr(), vec![Arc::new(waiter), Arc::clone(&witness) as Arc<dyn Plugin>]);
    let mut client = proxy.client();
    for number in 1..=3 {
        let answer = client.get("/").unwrap();
        assert_eq!((answer.status, answer.header("x-witness")), (200, Some("was here")));
        assert_eq!(witness.access.load(Ordering::SeqCst), number);
    }
    let request = &echo.requests()[0];
    assert_eq!(request.headers.all("x-waited"), ["once"; 3], "each wait gave one that waited again");
    assert_eq!(request.header("x-before"), Some("set before it waited"));
    assert_eq!(request.header("x-seen"), Some("3"), "the next plugin's turn came after the last wait");
}

#[test]
fn it_may_answer_after_it_waited() {
    let echo = Echo::start();
    let (open, _arrival, waiter) =
        gate(1, |_| Answer::message(StatusCode::FORBIDDEN, "the directory says no").into());
    let witness = Arc::new(Witness::default());
    open.send_replace(true);
    let proxy = Proxy::start(echo.addr(), vec![Arc::new(waiter), Arc::clone(&witness) as Arc<dyn Plugin>]);
    let answer = proxy.client().get("/").unwrap();
    assert_eq!((answer.status, answer.json()["message"].as_str()), (403, Some("the directory says no")));
    assert_eq!(echo.requests().len(), 0);
    assert_eq!(witness.access.load(Ordering::SeqCst), 0, "no later plugin's access phase runs");
    assert_eq!(answer.header("x-witness"), Some("was here"), "the later phases do");
    // The log phase runs when the answer is over, which the client may know first.
    let deadline = Instant::now() + SOON;
    while witness.finished.lock().unwrap().is_empty() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let finished = witness.finished.lock().unwrap();
    assert_eq!(finished.len(), 1);
    assert_eq!((finished[0].status, finished[0].outcome), (StatusCode::FORBIDDEN, Outcome::Gateway));
    assert_eq!(finished[0].upstream, None);
}

#[test]
fn a_request_that_waits_holds_up_no_other() {
    let echo = Echo::start();
    let (open, arrival, waiter) = gate(1, |_| Flow::Continue);
    let proxy = Proxy::start(echo.addr(), vec![Arc::new(waiter)]);
    let mut waiting: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    for client in &mut waiting {
        client.write(b"GET /waits HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        arrival.recv_timeout(SOON).unwrap();
    }
    // The one worker has twenty that wait, and serves the others.
    let mut free = proxy.client();
    (0..50).for_each(|_| assert_eq!(free.get("/free").unwrap().status, 200));
    assert!(echo.requests().iter().all(|request| request.path == "/free"));
    open.send_replace(true);
    for client in &mut waiting {
        assert_eq!(client.read_answer().unwrap().json()["path"], "/waits");
    }
}

#[test]
fn it_sees_one_configuration_from_beginning_to_end() {
    let echo = Echo::start();
    let (open, arrival, waiter) = gate(1, |ctx| {
        // What the request was found to be about is still there, though nobody else finds it any more.
        let still = ctx.route.is_some() && ctx.service.is_some_and(|s| s.name.as_deref() == Some("upstream"));
        ctx.headers.set("X-Still", if still { "there" } else { "gone" });
        Flow::Continue
    });
    let mut proxy = Proxy::start(echo.addr(), vec![Arc::new(waiter)]);
    let mut waiting = proxy.client();
    waiting.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    arrival.recv_timeout(SOON).unwrap();
    proxy.builder.apply(Update::NoRoute(proxy.route)).unwrap();
    proxy.gateway.publish(proxy.builder.snapshot());
    assert_eq!(proxy.client().get("/").unwrap().status, 404, "the next request sees the change");
    open.send_replace(true);
    assert_eq!(waiting.read_answer().unwrap().status, 200);
    assert_eq!(echo.requests()[0].header("x-still"), Some("there"));
}

#[test]
fn the_body_is_there_before_and_after() {
    let echo = Echo::start();
    let (open, _arrival, mut waiter) = gate(1, |ctx| {
        let shouted = ctx.body.take().map(|body| body.to_ascii_uppercase());
        ctx.body = shouted.map(Into::into);
        Flow::Continue
    });
    waiter.body = true;
    open.send_replace(true);
    let proxy = Proxy::start(echo.addr(), vec![Arc::new(waiter)]);
    let answer = proxy.client().request("POST", "/", &[], b"what the client said").unwrap();
    assert_eq!(answer.json()["body"], "WHAT THE CLIENT SAID");
    // Longer than what was sent: the service is told the new length.
    assert_eq!(echo.requests()[0].header("content-length"), Some("20"));
}

#[test]
fn the_end_waits_for_it_and_not_for_ever() {
    let echo = Echo::start();
    let (open, arrival, waiter) = gate(1, |_| Flow::Continue);
    let proxy = Proxy::start(echo.addr(), vec![Arc::new(waiter)]);
    let mut waiting = proxy.client();
    waiting.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    arrival.recv_timeout(SOON).unwrap();
    let ending = std::thread::spawn(move || proxy.end(SOON));
    open.send_replace(true);
    assert_eq!(waiting.read_answer().unwrap().status, 200);
    assert!(ending.join().unwrap(), "all requests ended in time");

    let (_shut, arrival, waiter) = gate(1, |_| Flow::Continue);
    let proxy = Proxy::start(echo.addr(), vec![Arc::new(waiter)]);
    let mut waiting = proxy.client();
    waiting.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    arrival.recv_timeout(SOON).unwrap();
    assert!(!proxy.end(Duration::from_millis(50)), "one did not");
}
