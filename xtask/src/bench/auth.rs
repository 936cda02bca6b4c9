//! What it costs to find out who a client is: each authentication plugin beside key-auth, and key-auth with a million
//! consumers beside ten.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use testkit::{Client, Gateway, Launch};

use super::load::{Load, Saturation, Target};
use super::{Args, contenders, procfs, report};
use crate::{packages, process, workspace};

const FEW: usize = 10;
const MANY: usize = 1_000_000;
/// Entities on a page while all of them are read.
const PAGE: usize = 1000;

pub(super) fn run(args: &Args) -> Result<()> {
    packages::ensure(packages::BENCH_PROXY)?;
    let folder = workspace::target()?.join("bench/auth");
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => std::fs::create_dir_all(&folder)?,
    }
    let program = match &args.weir {
        Some(program) => std::fs::canonicalize(program)?,
        None => contenders::weir_program()?,
    };
    let (_origin, origin) = contenders::start_origin(&folder.join("origin"), args.cores.load)?;
    let bench = Bench { folder, program, origin, args };
    let text = format!("{}\n{}", bench.plugins()?, bench.scale()?);
    let conditions =
        format!("{}; {} interleaved rounds of {} s, medians.", report::machine()?, args.rounds, args.seconds);
    println!("\n{text}\n{conditions}");
    match &args.write {
        Some(file) => report::put(file, "auth", &format!("{conditions}\n\n{text}")),
        None => Ok(()),
    }
}

struct Bench<'a> {
    folder: PathBuf,
    program: PathBuf,
    origin: SocketAddr,
    args: &'a Args,
}

/// A way of showing who one is: the route that asks for it, and the field that shows it.
struct Way {
    name: &'static str,
    header: Option<(&'static str, String)>,
}

impl Bench<'_> {
    fn start(&self, prefix: &Path) -> Result<Gateway> {
        let core = self.args.cores.proxy.to_string();
        let launch = Launch::new(&self.program).prefix(prefix).under(["taskset", "-c", &core]);
        let settings = [("WEIR_WORKERS", "1"), ("WEIR_LOG_LEVEL", "warn"), ("WEIR_STATUS_LISTEN", "off")];
        let launch = settings.into_iter().fold(launch, |launch, (name, value)| launch.env(name, value));
        Ok(launch.deadline(Duration::from_secs(120)).try_start()?)
    }

    fn saturation(&self) -> Saturation {
        let (core, connections) = (self.args.cores.load, self.args.connections);
        Saturation { folder: self.folder.clone(), core, connections }
    }

    /// CPU time a request, microseconds, and how many requests there were.
    fn cost(&self, gateway: &Gateway, load: impl FnOnce() -> Result<u64>) -> Result<f64> {
        let before = procfs::cpu_seconds(gateway.pid());
        let requests = load()?;
        Ok((procfs::cpu_seconds(gateway.pid()) - before) * 1e6 / requests as f64)
    }

    /// What each plugin costs.
    fn plugins(&self) -> Result<String> {
        let gateway = self.start(&self.folder.join("plugins"))?;
        let ways = set_up(&gateway, &self.origin.to_string(), &self.folder)?;
        let mut costs = vec![Vec::new(); ways.len()];
        for round in 0..=self.args.rounds {
            for (way, costs) in ways.iter().zip(&mut costs) {
                // The load generator's parameters live as long as the program.
                let path: &'static str = format!("/{}/", way.name).leak();
                let header = way.header.as_ref().map(|(name, value)| (*name, &*value.clone().leak()));
                let (http, https) = (gateway.proxy(), gateway.proxy_ssl());
                let target = Target { http, https, path, headers: header.into_iter().collect() };
                let cost = self.cost(&gateway, || {
                    Ok(self.saturation().run(&target, Load::Get, self.args.seconds)?.requests)
                })?;
                if round > 0 {
                    println!("  {round} {:<20} {cost:6.1} µs CPU", way.name);
                    costs.push(cost);
                }
            }
        }
        let base = ways.iter().position(|way| way.name == "key-auth").context("key-auth")?;
        let rows = ways.iter().zip(&costs).map(|(way, of)| {
            let ratios: Vec<f64> = of.iter().zip(&costs[base]).map(|(cost, base)| cost / base).collect();
            let (cost, ratio) = (report::median(of), report::median(&ratios));
            vec![way.name.to_owned(), format!("{cost:.1} µs"), format!("{ratio:.2}×")]
        });
        Ok(report::table(&["plugin", "CPU per request", "to key-auth"], &rows.collect::<Vec<_>>()))
    }

    /// What a million consumers with a key each cost.
    fn scale(&self) -> Result<String> {
        let fill = workspace::build_example(&["--package", "weir-store"], "fill")?;
        let few = self.filled("few", FEW, &fill)?;
        let many = self.filled("many", MANY, &fill)?;
        let bytes = (procfs::memory(many.gateway.pid()).rss_mib - procfs::memory(few.gateway.pid()).rss_mib)
            * 1048576.0;
        let per_credential = bytes / (MANY - FEW) as f64;

        let mut costs = [const { Vec::new() }; 2];
        for round in 0..=self.args.rounds {
            for ((site, count), costs) in [(&few, FEW), (&many, MANY)].into_iter().zip(&mut costs) {
                let addr = site.gateway.proxy();
                let cost = self.cost(&site.gateway, || {
                    Ok(self.saturation().run_keys(addr, count, self.args.seconds)?.requests)
                })?;
                if round > 0 {
                    println!("  {round} {count:>8} keys {cost:6.1} µs CPU");
                    costs.push(cost);
                }
            }
        }
        let ratios: Vec<f64> = costs[1].iter().zip(&costs[0]).map(|(many, few)| many / few).collect();
        let created = [&few, &many].map(|site| create(&site.gateway));
        let [created_few, created_many] = created;
        let (created_few, created_many) = (created_few?, created_many?);
        let before = procfs::memory(many.gateway.pid()).rss_mib;
        let paged = page_through(&many.gateway)?;
        let grown = procfs::memory(many.gateway.pid()).rss_mib - before;
        let rows = [
            [
                "memory per consumer with a key".to_owned(),
                String::new(),
                format!("{per_credential:.0} bytes"),
            ],
            ["start".to_owned(), seconds(few.start), seconds(many.start)],
            [
                "a request with a key, CPU".to_owned(),
                micros(&costs[0]),
                format!("{}, {:.2}×", micros(&costs[1]), report::median(&ratios)),
            ],
            ["making one more key".to_owned(), millis(&created_few), millis(&created_many)],
            [
                "paging through all of them".to_owned(),
                String::new(),
                format!("{paged:.1} s, memory +{grown:.1} MiB"),
            ],
        ];
        let rows: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
        Ok(report::table(&["", "10 consumers", "1,000,000 consumers"], &rows))
    }

    /// A gateway with so many consumers, and how long it took to start.
    fn filled(&self, name: &str, count: usize, fill: &Path) -> Result<Site> {
        let prefix = self.folder.join(name);
        let gateway = self.start(&prefix)?;
        gateway.post("/services", &json!({"name": "s", "url": format!("http://{}", self.origin)}));
        gateway.post("/services/s/routes", &json!({"paths": ["/"]}));
        gateway.post("/services/s/plugins", &json!({"name": "key-auth"}));
        end(gateway)?;
        let filling = Instant::now();
        process::check(Command::new(fill).arg(&prefix).arg(count.to_string()))?;
        println!("{count} consumers made in {:.0} s", filling.elapsed().as_secs_f64());
        let begin = Instant::now();
        let gateway = self.start(&prefix)?;
        Ok(Site { start: begin.elapsed(), gateway })
    }
}

struct Site {
    gateway: Gateway,
    start: Duration,
}

fn end(mut gateway: Gateway) -> Result<()> {
    gateway.terminate(Duration::from_secs(60))?;
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn micros(of: &[f64]) -> String {
    format!("{:.1} µs", report::median(of))
}

fn millis(of: &[f64]) -> String {
    format!("{:.1} ms", report::median(of))
}

/// How long it takes to make one more key, milliseconds.
fn create(gateway: &Gateway) -> Result<Vec<f64>> {
    let mut admin = Client::connect(gateway.admin())?;
    let mut times = Vec::new();
    for _ in 0..50 {
        let begin = Instant::now();
        let kind = [("Content-Type", "application/json")];
        let answer = admin.request("POST", "/consumers/consumer-5/key-auth", &kind, b"{}")?;
        if answer.status != 201 {
            bail!("{} {}", answer.status, answer.text());
        }
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}

/// Reads all consumers, a page at a time. Gives the seconds that it took.
fn page_through(gateway: &Gateway) -> Result<f64> {
    let begin = Instant::now();
    let mut admin = Client::connect(gateway.admin())?;
    let (mut path, mut seen) = (format!("/consumers?size={PAGE}"), 0);
    loop {
        let page = admin.get(&path)?.json();
        seen += page["data"].as_array().map_or(0, Vec::len);
        match page["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None if seen == MANY => return Ok(begin.elapsed().as_secs_f64()),
            None => bail!("{seen} consumers on all pages"),
        }
    }
}

/// A route for each plugin, and what gets through it.
fn set_up(gateway: &Gateway, origin: &str, folder: &Path) -> Result<Vec<Way>> {
    gateway.post("/services", &json!({"name": "s", "url": format!("http://{origin}")}));
    gateway.post("/consumers", &json!({"username": "ada"}));
    let route = |name: &str, plugin: Option<(&str, Value)>| {
        gateway.post("/services/s/routes", &json!({"name": name, "paths": [format!("/{name}/")]}));
        if let Some((plugin, config)) = plugin {
            gateway.post(&format!("/routes/{name}/plugins"), &json!({"name": plugin, "config": config}));
        }
    };
    let credential = |path: &str, fields: Value| gateway.post(&format!("/consumers/ada/{path}"), &fields);
    let mut ways = vec![Way { name: "none", header: None }];
    route("none", None);

    route("key-auth", Some(("key-auth", json!({}))));
    credential("key-auth", json!({"key": "sesame"}));
    ways.push(Way { name: "key-auth", header: Some(("apikey", "sesame".to_owned())) });

    route("basic-auth", Some(("basic-auth", json!({}))));
    credential("basic-auth", json!({"username": "ada", "password": "lovelace"}));
    let basic = format!("Basic {}", STANDARD.encode("ada:lovelace"));
    ways.push(Way { name: "basic-auth", header: Some(("Authorization", basic)) });

    route("hmac-auth", Some(("hmac-auth", json!({"clock_skew": 100_000}))));
    credential("hmac-auth", json!({"username": "ada", "secret": "lovelace"}));
    let date =
        process::read(Command::new("date").args(["-u", "+%a, %d %b %Y %H:%M:%S GMT"]).env("LC_ALL", "C"))?;
    let signature = STANDARD.encode(openssl(
        &["dgst", "-sha256", "-hmac", "lovelace", "-binary"],
        format!("x-date: {}", date.trim()).as_bytes(),
    )?);
    let hmac = format!(
        "hmac username=\"ada\", algorithm=\"hmac-sha256\", headers=\"x-date\", signature=\"{signature}\"\r\nX-Date: {}",
        date.trim()
    );
    ways.push(Way { name: "hmac-auth", header: Some(("Authorization", hmac)) });

    for (name, algorithm) in [("jwt-hs256", "HS256"), ("jwt-rs256", "RS256"), ("jwt-es256", "ES256")] {
        route(name, Some(("jwt", json!({}))));
        let (key, token) = token(name, algorithm, folder)?;
        credential("jwt", key);
        ways.push(Way { name, header: Some(("Authorization", format!("Bearer {token}"))) });
    }

    route("oauth2", Some(("oauth2", json!({"enable_client_credentials": true, "global_credentials": true}))));
    let client = credential("oauth2", json!({"name": "bench"}));
    let token = json!({"credential": {"id": client["id"]}, "expires_in": 0, "access_token": "open-sesame"});
    gateway.post("/oauth2_tokens", &token);
    ways.push(Way { name: "oauth2", header: Some(("Authorization", "Bearer open-sesame".to_owned())) });

    route(
        "session",
        Some((
            "session",
            json!({"cookie_secure": false, "absolute_timeout": 100_000, "idling_timeout": 100_000}),
        )),
    );
    gateway.post("/routes/session/plugins", &json!({"name": "key-auth", "config": {"anonymous": "nobody"}}));
    gateway.post("/routes/session/plugins", &json!({"name": "acl", "config": {"deny": ["nobody"]}}));
    gateway.post("/consumers", &json!({"username": "nobody"}));
    gateway.post("/consumers/nobody/acls", &json!({"group": "nobody"}));
    let answer =
        Client::connect(gateway.proxy())?.request("GET", "/session/", &[("apikey", "sesame")], b"")?;
    let cookie =
        answer.header("Set-Cookie").and_then(|cookie| cookie.split(';').next()).context("no session")?;
    ways.push(Way { name: "session", header: Some(("Cookie", cookie.to_owned())) });
    Ok(ways)
}

/// A credential for JSON Web Tokens, and a token that it is good for (RFC 7515).
fn token(name: &str, algorithm: &str, folder: &Path) -> Result<(Value, String)> {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let head = encode(json!({"alg": algorithm, "typ": "JWT"}).to_string().as_bytes());
    let signed = format!("{head}.{}", encode(json!({"iss": name}).to_string().as_bytes()));
    let key = folder.join(format!("{name}.pem"));
    let key = key.to_str().context("a path that is text")?;
    let sign = || openssl(&["dgst", "-sha256", "-sign", key, "-binary"], signed.as_bytes());
    let (fields, signature) = match algorithm {
        "HS256" => {
            let signature = openssl(&["dgst", "-sha256", "-hmac", "lovelace", "-binary"], signed.as_bytes())?;
            (json!({"secret": "lovelace"}), signature)
        }
        "RS256" => {
            openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key], b"")?;
            (json!({}), sign()?)
        }
        _ => {
            openssl(
                &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key],
                b"",
            )?;
            (json!({}), raw_ecdsa(&sign()?)?)
        }
    };
    let mut credential = json!({"key": name, "algorithm": algorithm});
    if let (Some(map), Value::Object(fields)) = (credential.as_object_mut(), fields) {
        map.extend(fields);
        if algorithm != "HS256" {
            let public = String::from_utf8(openssl(&["pkey", "-in", key, "-pubout"], b"")?)?;
            map.insert("rsa_public_key".to_owned(), json!(public));
        }
    }
    Ok((credential, format!("{signed}.{}", encode(&signature))))
}

/// An ECDSA signature of P-256 as RFC 7518 has it (3.4), out of DER.
fn raw_ecdsa(der: &[u8]) -> Result<Vec<u8>> {
    let (mut rest, mut raw) = (der.get(2..).context("a short signature")?, Vec::new());
    for _ in 0..2 {
        let length = usize::from(*rest.get(1).context("a short signature")?);
        let number = rest.get(2..2 + length).context("a short signature")?;
        let digits = number.strip_prefix(&[0]).unwrap_or(number);
        raw.resize(raw.len() + 32 - digits.len(), 0);
        raw.extend_from_slice(digits);
        rest = &rest[2 + length..];
    }
    Ok(raw)
}

fn openssl(args: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let mut command = Command::new("openssl");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().context("openssl")?;
    child.stdin.take().context("stdin")?.write_all(input)?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("openssl {} failed", args.join(" "));
    }
    Ok(output.stdout)
}
