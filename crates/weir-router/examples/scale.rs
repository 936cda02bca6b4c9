//! What look-ups and changes cost as routes become many.
//!
//!     cargo run --release -p weir-router --example scale              the table, each cell in a process of its own
//!     cargo run --release -p weir-router --example scale hosts 1000   one shape at one size
//!
//! `cold` looks up routes drawn from all, so that their memory is seldom in the caches; `hot` always the same hundred;
//! `miss` what no route wants. A change is one route inserted into a copy of the router, with the copy before it alive.

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use weir_router::{Criteria, Headers, Request, RouteId, Router, Spec};

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];
/// How many look-ups a round makes.
const LOOKUPS: usize = 100_000;
const ROUNDS: usize = 7;

/// One route and a request that it takes.
#[derive(Default)]
struct Pair {
    method: Option<String>,
    host: Option<String>,
    path: Option<String>,
    header: Option<(&'static str, String)>,
    sni: Option<String>,
    call: Call,
}

/// A request, as an HTTP library would hold it.
#[derive(Default, Clone)]
struct Call {
    method: Option<String>,
    host: String,
    path: String,
    headers: Vec<(&'static str, String)>,
    sni: Option<String>,
}

/// A kind of configuration: the route and request with this number, of so many.
struct Shape {
    name: &'static str,
    pair: fn(usize) -> Pair,
    /// More would take too long: what these routes ask for cannot be looked up.
    most: usize,
}

const SHAPES: [Shape; 12] = [
    Shape { name: "hosts", pair: hosts, most: usize::MAX },
    Shape { name: "random-hosts", pair: random_hosts, most: usize::MAX },
    Shape { name: "wildcard-hosts", pair: wildcard_hosts, most: usize::MAX },
    Shape { name: "prefixes", pair: prefixes, most: usize::MAX },
    Shape { name: "nested-prefixes", pair: nested_prefixes, most: usize::MAX },
    Shape { name: "host-and-path", pair: host_and_path, most: usize::MAX },
    Shape { name: "method-and-path", pair: method_and_path, most: usize::MAX },
    Shape { name: "headers", pair: headers, most: usize::MAX },
    Shape { name: "snis", pair: snis, most: usize::MAX },
    Shape { name: "regexes", pair: regexes, most: usize::MAX },
    Shape { name: "regexes-inner", pair: regexes_inner, most: usize::MAX },
    Shape { name: "regexes-scanned", pair: regexes_scanned, most: 1_000 },
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => table(),
        [shape, size] => match (SHAPES.iter().find(|known| known.name == shape), size.parse()) {
            (Some(shape), Ok(size)) => say(&measure(shape, size)),
            _ => say("usage: scale [SHAPE SIZE]"),
        },
        _ => say("usage: scale [SHAPE SIZE]"),
    }
}

#[expect(clippy::print_stdout, reason = "a program for a person at a terminal")]
fn say(line: &str) {
    println!("{line}");
}

fn table() {
    say("shape               routes  cold ns   hot ns  miss ns  change us  build us/route  bytes/route");
    for shape in &SHAPES {
        for size in SIZES.into_iter().filter(|size| *size <= shape.most) {
            let run =
                || Command::new(std::env::current_exe()?).args([shape.name, &size.to_string()]).output();
            match run() {
                Ok(output) => say(String::from_utf8_lossy(&output.stdout).trim_end()),
                Err(error) => say(&format!("{}: {error}", shape.name)),
            }
        }
    }
}

fn measure(shape: &Shape, size: usize) -> String {
    let pairs: Vec<Pair> = (0..size).map(shape.pair).collect();
    let mut draw = Draw(1);
    let cold: Vec<Call> = (0..LOOKUPS).map(|_| pairs[draw.below(size)].call.clone()).collect();
    let hot: Vec<Call> =
        (0..LOOKUPS).map(|_| pairs[draw.below(size.min(100)) * (size / 100)].call.clone()).collect();
    let miss: Vec<Call> = (0..LOOKUPS).map(|_| missing(&pairs[draw.below(size)].call)).collect();

    let before = resident_bytes();
    let began = Instant::now();
    let mut router: Router<u64> = Router::default();
    for (number, pair) in pairs.iter().enumerate() {
        router.insert(criteria(pair, number), number as u64);
    }
    let build = began.elapsed();
    let bytes = resident_bytes().saturating_sub(before);

    let (cold, found) = lookups(&router, &cold);
    let (hot, also_found) = lookups(&router, &hot);
    let (miss, not_found) = lookups(&router, &miss);
    let counts = [found, also_found, not_found];
    let wrong = if counts == [LOOKUPS, LOOKUPS, 0] { String::new() } else { format!("  WRONG {counts:?}") };
    let change = changes(&router, shape, size);
    format!(
        "{:18} {size:7} {cold:8.0} {hot:8.0} {miss:8.0} {:10.1} {:15.1} {:12.0}{wrong}",
        shape.name,
        change.as_secs_f64() * 1e6,
        build.as_secs_f64() * 1e6 / size as f64,
        bytes as f64 / size as f64,
    )
}

/// Nanoseconds for a look-up in the best round, and how many found a route.
fn lookups(router: &Router<u64>, calls: &[Call]) -> (f64, usize) {
    let mut best = Duration::MAX;
    let mut found = 0;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        found = calls.iter().filter(|call| black_box(router.find(&request(call))).is_some()).count();
        best = best.min(began.elapsed());
    }
    (best.as_secs_f64() * 1e9 / calls.len() as f64, found)
}

/// The median time that a change takes.
fn changes(router: &Router<u64>, shape: &Shape, size: usize) -> Duration {
    let mut router = router.clone();
    let mut times: Vec<Duration> = (0..300)
        .map(|step| {
            let criteria = criteria(&(shape.pair)(size + step), size + step);
            let began = Instant::now();
            let mut next = router.clone();
            next.insert(criteria, 0);
            router = next;
            began.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

fn criteria(pair: &Pair, number: usize) -> Criteria {
    let mut id: RouteId = [0; 16];
    // Ids are random in practice: a permutation of the numbers, spread over the first bytes.
    id[..8].copy_from_slice(&(number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    let values = pair.header.as_ref().map(|(_, value)| value.clone());
    let spec = Spec {
        methods: pair.method.as_slice(),
        hosts: pair.host.as_slice(),
        paths: pair.path.as_slice(),
        headers: pair.header.iter().map(|(name, _)| (*name, values.as_slice())).collect(),
        snis: pair.sni.as_slice(),
        ..Spec::new(id)
    };
    Criteria::parse(&spec).unwrap_or_else(|error| unreachable!("a shape is wrong: {error}"))
}

fn request(call: &Call) -> Request<'_> {
    Request {
        method: call.method.as_deref().unwrap_or("GET"),
        host: &call.host,
        port: 8000,
        path: &call.path,
        tls: call.sni.is_some(),
        sni: call.sni.as_deref(),
        headers: &call.headers as &dyn Headers,
    }
}

/// A request much like the one given that no route wants.
fn missing(call: &Call) -> Call {
    let mut call = call.clone();
    call.host.insert(0, '-');
    call.path.insert(1, '-');
    call.headers.iter_mut().for_each(|(_, value)| value.push('-'));
    call.sni.iter_mut().for_each(|name| name.insert(0, '-'));
    call.method = Some("TRACE".to_owned());
    if call.host.ends_with("wild.test") {
        call.host.push('-');
    }
    call
}

fn with(host: &str, path: &str) -> Call {
    Call { host: host.to_owned(), path: path.to_owned(), ..Call::default() }
}

fn hosts(number: usize) -> Pair {
    let host = format!("tenant-{number}.example.com");
    Pair { call: with(&host, "/orders/17"), host: Some(host), ..Pair::default() }
}

fn random_hosts(number: usize) -> Pair {
    let host = format!("{:016x}.example.com", (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    Pair { call: with(&host, "/orders/17"), host: Some(host), ..Pair::default() }
}

fn wildcard_hosts(number: usize) -> Pair {
    let host = format!("tenant-{number}.wild.test");
    Pair {
        call: with(&format!("www.{host}"), "/orders/17"),
        host: Some(format!("*.{host}")),
        ..Pair::default()
    }
}

fn prefixes(number: usize) -> Pair {
    let path = format!("/service-{number}/v1");
    let host = Some("api.example.com".to_owned());
    Pair {
        call: with("api.example.com", &format!("{path}/orders/17")),
        host,
        path: Some(path),
        ..Pair::default()
    }
}

/// All prefixes of paths whose segments are digits: `/7`, `/7/3`, `/7/3/0`.
fn nested_prefixes(number: usize) -> Pair {
    let path: String = number.to_string().chars().flat_map(|digit| ['/', digit]).collect();
    Pair { call: with("api.example.com", &format!("{path}/x/17")), path: Some(path), ..Pair::default() }
}

fn host_and_path(number: usize) -> Pair {
    let host = format!("tenant-{}.example.com", number / 10);
    let path = format!("/service-{}", number % 10);
    Pair {
        call: with(&host, &format!("{path}/orders/17")),
        host: Some(host),
        path: Some(path),
        ..Pair::default()
    }
}

fn method_and_path(number: usize) -> Pair {
    let method = Some(["GET", "POST", "PUT", "DELETE"][number % 4].to_owned());
    let path = format!("/service-{}", number / 4);
    let call = Call { method: method.clone(), ..with("api.example.com", &format!("{path}/orders/17")) };
    Pair { call, method, path: Some(path), ..Pair::default() }
}

fn headers(number: usize) -> Pair {
    let header = ("x-tenant", format!("tenant-{number}"));
    let common = [("accept", "*/*"), ("user-agent", "bench"), ("x-request-id", "17")];
    let headers =
        common.into_iter().map(|(name, value)| (name, value.to_owned())).chain([header.clone()]).collect();
    let call = Call { headers, ..with("api.example.com", "/orders/17") };
    Pair { call, header: Some(header), ..Pair::default() }
}

fn snis(number: usize) -> Pair {
    let sni = Some(format!("tenant-{number}.example.com"));
    let call = Call { sni: sni.clone(), ..with("api.example.com", "/orders/17") };
    Pair { call, sni, ..Pair::default() }
}

fn regexes(number: usize) -> Pair {
    let path = format!(r"~/service-{number}/orders/\d+$");
    let call = with("api.example.com", &format!("/service-{number}/orders/17"));
    Pair { call, path: Some(path), ..Pair::default() }
}

/// What tells these apart comes after what varies.
fn regexes_inner(number: usize) -> Pair {
    let path = format!(r"~/v\d+/service-{number}/orders/\w+");
    let call = with("api.example.com", &format!("/v3/service-{number}/orders/17"));
    Pair { call, path: Some(path), ..Pair::default() }
}

/// Nothing in these can be looked up: each is tried in turn.
fn regexes_scanned(number: usize) -> Pair {
    let path = format!(r"~/[a-z]{{3}}-{number}$");
    Pair { call: with("api.example.com", &format!("/abc-{number}")), path: Some(path), ..Pair::default() }
}

/// Pseudo-random numbers that are the same at every run (Knuth's MMIX generator).
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }
}

/// The process's resident memory.
fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|fields| fields.split(' ').nth(1)?.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}
