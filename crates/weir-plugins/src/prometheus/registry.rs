//! What was counted, by route, service and consumer.
//!
//! Each worker counts in cells of its own, which no other thread writes; whoever asks for the metrics adds them up. A
//! worker finds its cell by the route's and the consumer's id, and checks that the names it shows are still theirs.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use weir_model::typed::{Consumer, Route, Service};
use weir_plugin::{Finished, Outcome};

/// Upper bounds of the histograms for what the gateway itself takes, milliseconds.
const GATEWAY_BOUNDS: [u32; 17] = [1, 2, 5, 7, 10, 15, 20, 30, 50, 75, 100, 200, 500, 750, 1000, 3000, 6000];
/// Upper bounds of the histograms for what services take, and for the whole, milliseconds.
const UPSTREAM_BOUNDS: [u32; 13] = [25, 50, 80, 100, 250, 400, 700, 1000, 2000, 5000, 10_000, 30_000, 60_000];

/// Whom a cell counts for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    service: String,
    route: String,
    consumer: String,
}

/// A number that one thread adds to and others may read.
#[derive(Default)]
struct Cell(AtomicU64);

impl Cell {
    fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often values were how large. Buckets are not cumulative here; they are when they are shown.
struct Histogram<const N: usize> {
    buckets: [Cell; N],
    beyond: Cell,
    /// Microseconds.
    sum: Cell,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| Cell::default()),
            beyond: Cell::default(),
            sum: Cell::default(),
        }
    }
}

impl<const N: usize> Histogram<N> {
    fn observe(&self, bounds: &[u32; N], value: Duration) {
        let ms = value.as_millis();
        let index = bounds.iter().position(|bound| ms <= u128::from(*bound));
        index.map_or(&self.beyond, |index| &self.buckets[index]).add(1);
        self.sum.add(value.as_micros() as u64);
    }
}

/// What one worker counted for one set of labels.
#[derive(Default)]
struct Counted {
    gateway: Histogram<17>,
    upstream: Histogram<13>,
    total: Histogram<13>,
    bytes_in: Cell,
    bytes_out: Cell,
    latencies: Cell,
    answers: Mutex<Answers>,
}

/// Counts of answers by status and by who made them.
type Answers = Vec<((u16, Source), Arc<Cell>)>;

/// Who made an answer, as the metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Service,
    Gateway,
}

/// One worker's way to its cells.
struct Here {
    labels: Labels,
    counted: Arc<Counted>,
    /// The cells of `answers` that this worker used.
    answers: RefCell<Answers>,
}

/// A route's and a consumer's id; zeros where there is none.
type Place = ([u8; 16], [u8; 16], u64);

thread_local! {
    static HERE: RefCell<HashMap<Place, Rc<Here>>> = RefCell::new(HashMap::new());
}

/// All that was counted on a node.
#[derive(Default)]
pub struct Registry {
    all: Mutex<Vec<(Labels, Arc<Counted>)>>,
    /// Tells registries of one process apart, in what workers remember.
    number: std::sync::OnceLock<u64>,
}

/// A request to be counted.
pub(super) struct Seen<'a> {
    pub(super) route: Option<&'a Route>,
    pub(super) service: Option<&'a Service>,
    pub(super) consumer: Option<&'a Consumer>,
    pub(super) finished: &'a Finished,
    pub(super) status_codes: bool,
    pub(super) latency: bool,
    pub(super) bandwidth: bool,
}

impl Seen<'_> {
    /// An entity's name, or its id where it has none.
    fn service_name(&self) -> &str {
        self.service.and_then(|service| service.name.as_deref()).unwrap_or_default()
    }

    fn route_name(&self) -> &str {
        self.route.and_then(|route| route.name.as_deref()).unwrap_or_default()
    }

    fn consumer_name(&self) -> &str {
        self.consumer.and_then(|consumer| consumer.username.as_deref()).unwrap_or_default()
    }

    fn labels(&self) -> Labels {
        let or_id = |name: &str, id: Option<String>| {
            if name.is_empty() { id.unwrap_or_default() } else { name.to_owned() }
        };
        Labels {
            service: or_id(self.service_name(), self.service.map(|service| service.id.to_string())),
            route: or_id(self.route_name(), self.route.map(|route| route.id.to_string())),
            consumer: or_id(self.consumer_name(), self.consumer.map(|consumer| consumer.id.to_string())),
        }
    }

    /// Whether labels made earlier still are this request's.
    fn agrees(&self, labels: &Labels) -> bool {
        let same = |name: &str, label: &str| name.is_empty() || name == label;
        same(self.service_name(), &labels.service)
            && same(self.route_name(), &labels.route)
            && same(self.consumer_name(), &labels.consumer)
    }
}

impl Registry {
    /// Counts a request.
    pub(super) fn record(&self, seen: &Seen<'_>) {
        let here = self.here(seen);
        let finished = seen.finished;
        if seen.status_codes {
            let source =
                if finished.outcome == Outcome::Upstream { Source::Service } else { Source::Gateway };
            here.answer((finished.status.as_u16(), source));
        }
        if seen.latency {
            here.counted.latencies.add(1);
            here.counted.gateway.observe(&GATEWAY_BOUNDS, finished.gateway);
            here.counted.total.observe(&UPSTREAM_BOUNDS, finished.total);
            if let Some(upstream) = finished.upstream {
                here.counted.upstream.observe(&UPSTREAM_BOUNDS, upstream);
            }
        }
        if seen.bandwidth {
            here.counted.bytes_in.add(finished.bytes_in);
            here.counted.bytes_out.add(finished.bytes_out);
        }
    }

    fn here(&self, seen: &Seen<'_>) -> Rc<Here> {
        let id = |id: Option<&weir_mint::Uuid>| id.map_or([0; 16], |id| *id.as_bytes());
        let place = (id(seen.route.map(|r| &r.id)), id(seen.consumer.map(|c| &c.id)), self.number());
        HERE.with_borrow_mut(|map| {
            if let Some(here) = map.get(&place).filter(|here| seen.agrees(&here.labels)) {
                return Rc::clone(here);
            }
            let labels = seen.labels();
            let counted = Arc::new(Counted::default());
            self.all
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((labels.clone(), Arc::clone(&counted)));
            let here = Rc::new(Here { labels, counted, answers: RefCell::default() });
            map.insert(place, Rc::clone(&here));
            here
        })
    }

    fn number(&self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        *self.number.get_or_init(|| NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Adds what was counted, in Prometheus' text format.
    pub fn encode(&self, out: &mut String) {
        let mut sums: BTreeMap<Labels, Sum> = BTreeMap::new();
        for (labels, counted) in self.all.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            sums.entry(labels.clone()).or_default().add(counted);
        }
        let mut answers: Vec<(&Labels, u16, Source, u64)> = Vec::new();
        for (labels, sum) in &sums {
            answers
                .extend(sum.answers.iter().map(|((code, source), count)| (labels, *code, *source, *count)));
        }
        if !answers.is_empty() {
            head(out, "kong_http_requests_total", "counter", "HTTP status codes per consumer/service/route");
            for (labels, code, source, count) in answers {
                let source = if source == Source::Service { "service" } else { "kong" };
                let _ = writeln!(
                    out,
                    "kong_http_requests_total{{service={},route={},code=\"{code}\",source=\"{source}\",workspace=\"default\",consumer={}}} {count}",
                    quoted(&labels.service),
                    quoted(&labels.route),
                    quoted(&labels.consumer),
                );
            }
        }
        let timed: Vec<(&Labels, &Sum)> = sums.iter().filter(|(_, sum)| sum.latencies > 0).collect();
        let mut histogram = |name: &str, help: &str, bounds: &[u32], pick: &dyn Fn(&Sum) -> &HistogramSum| {
            if timed.is_empty() {
                return;
            }
            head(out, name, "histogram", help);
            for (labels, sum) in &timed {
                pick(sum).encode(out, name, bounds, labels);
            }
        };
        histogram(
            "kong_kong_latency_ms",
            "Latency added by the gateway and its plugins",
            &GATEWAY_BOUNDS,
            &|sum| &sum.gateway,
        );
        histogram("kong_upstream_latency_ms", "Latency of the services' answers", &UPSTREAM_BOUNDS, &|sum| {
            &sum.upstream
        });
        histogram("kong_request_latency_ms", "Latency of requests as a whole", &UPSTREAM_BOUNDS, &|sum| {
            &sum.total
        });
        if sums.values().any(|sum| sum.bytes_in + sum.bytes_out > 0) {
            head(
                out,
                "kong_bandwidth_bytes",
                "counter",
                "Bytes of requests (ingress) and of answers (egress)",
            );
            for (labels, sum) in &sums {
                for (direction, bytes) in [("egress", sum.bytes_out), ("ingress", sum.bytes_in)] {
                    let _ = writeln!(
                        out,
                        "kong_bandwidth_bytes{{service={},route={},direction=\"{direction}\",workspace=\"default\",consumer={}}} {bytes}",
                        quoted(&labels.service),
                        quoted(&labels.route),
                        quoted(&labels.consumer),
                    );
                }
            }
        }
    }
}

impl Here {
    fn answer(&self, key: (u16, Source)) {
        let mut used = self.answers.borrow_mut();
        if let Some((_, cell)) = used.iter().find(|(other, _)| *other == key) {
            return cell.add(1);
        }
        let cell = Arc::new(Cell::default());
        cell.add(1);
        used.push((key, Arc::clone(&cell)));
        self.counted.answers.lock().unwrap_or_else(PoisonError::into_inner).push((key, cell));
    }
}

/// What all workers counted for one set of labels.
#[derive(Default)]
struct Sum {
    gateway: HistogramSum,
    upstream: HistogramSum,
    total: HistogramSum,
    bytes_in: u64,
    bytes_out: u64,
    latencies: u64,
    answers: BTreeMap<(u16, Source), u64>,
}

impl Sum {
    fn add(&mut self, counted: &Counted) {
        self.gateway.add(&counted.gateway);
        self.upstream.add(&counted.upstream);
        self.total.add(&counted.total);
        self.bytes_in += counted.bytes_in.get();
        self.bytes_out += counted.bytes_out.get();
        self.latencies += counted.latencies.get();
        for (key, cell) in counted.answers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            *self.answers.entry(*key).or_default() += cell.get();
        }
    }
}

#[derive(Default)]
struct HistogramSum {
    buckets: Vec<u64>,
    beyond: u64,
    sum_us: u64,
}

impl HistogramSum {
    fn add<const N: usize>(&mut self, histogram: &Histogram<N>) {
        self.buckets.resize(N, 0);
        for (sum, cell) in self.buckets.iter_mut().zip(&histogram.buckets) {
            *sum += cell.get();
        }
        self.beyond += histogram.beyond.get();
        self.sum_us += histogram.sum.get();
    }

    fn encode(&self, out: &mut String, name: &str, bounds: &[u32], labels: &Labels) {
        let labels = format!(
            "service={},route={},workspace=\"default\"{}",
            quoted(&labels.service),
            quoted(&labels.route),
            if labels.consumer.is_empty() {
                String::new()
            } else {
                format!(",consumer={}", quoted(&labels.consumer))
            },
        );
        let mut count = 0;
        for (bound, bucket) in bounds.iter().zip(&self.buckets) {
            count += bucket;
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
        }
        count += self.beyond;
        let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
        let _ = writeln!(out, "{name}_count{{{labels}}} {count}");
        let _ = writeln!(out, "{name}_sum{{{labels}}} {}", self.sum_us as f64 / 1000.0);
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// A label's value, quoted as the text format asks.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn finished(ms: u64) -> Finished {
        Finished {
            status: StatusCode::OK,
            outcome: Outcome::Upstream,
            total: Duration::from_millis(ms),
            gateway: Duration::ZERO,
            upstream: Some(Duration::from_millis(ms)),
            bytes_in: 10,
            bytes_out: 20,
        }
    }

    fn seen(finished: &Finished) -> Seen<'_> {
        let (route, service, consumer) = (None, None, None);
        Seen { route, service, consumer, finished, status_codes: true, latency: true, bandwidth: true }
    }

    #[test]
    fn workers_are_added_up() {
        let registry = Registry::default();
        std::thread::scope(|scope| {
            for ms in [20, 30] {
                let registry = &registry;
                scope.spawn(move || registry.record(&seen(&finished(ms))));
            }
        });
        let mut out = String::new();
        registry.encode(&mut out);
        for line in [
            "kong_http_requests_total{service=\"\",route=\"\",code=\"200\",source=\"service\",workspace=\"default\",consumer=\"\"} 2",
            "kong_upstream_latency_ms_bucket{service=\"\",route=\"\",workspace=\"default\",le=\"25\"} 1",
            "kong_upstream_latency_ms_bucket{service=\"\",route=\"\",workspace=\"default\",le=\"50\"} 2",
            "kong_request_latency_ms_sum{service=\"\",route=\"\",workspace=\"default\"} 50",
            "kong_bandwidth_bytes{service=\"\",route=\"\",direction=\"egress\",workspace=\"default\",consumer=\"\"} 40",
        ] {
            assert!(out.lines().any(|other| other == line), "{line}\nin\n{out}");
        }
    }

    #[test]
    fn label_values_cannot_break_out() {
        assert_eq!(quoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\n\"");
    }
}
