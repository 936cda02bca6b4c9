//! `cargo xtask bench`: what Weir costs, beside what others cost, measured alike.
//!
//! `proxy` runs gateways and proxies under the same load ([`proxy`]); `randomness` times draws and tokens
//! ([`randomness`]); `lua` does that in LuaJIT ([`lua`]); `routes` compares a hundred thousand routes with a hundred
//! ([`routes`]); `auth` compares authentication plugins, and many consumers with few ([`auth`]); `assess` times the tests
//! of randomness beside the tools that people use ([`assess`]); `feed` boots guests to compare the daemons that feed their
//! kernels ([`feed`]); `seed` times the search for primes that RSA keys have in common ([`seed`]). Every number is printed with what speaks against it: how far the rounds were apart, and what else
//! used the machine meanwhile.

mod assess;
mod auth;
mod contenders;
mod feed;
mod load;
mod lua;
mod pace;
mod procfs;
mod profile;
mod proxy;
mod randomness;
mod report;
mod routes;
mod seed;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::ValueEnum;

pub(crate) use pace::{Args as PaceArgs, run as pace};

/// Measure, beside others
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure
    #[arg(value_enum, default_value = "all")]
    what: What,

    /// Rounds; each measures every contender once, and medians are taken over them
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Seconds that a measurement takes
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// Measure only these proxies
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,

    /// The load on proxies
    #[arg(long, value_enum, value_delimiter = ',', default_value = "get")]
    load: Vec<load::Load>,

    /// Connections kept open to a proxy
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,

    /// Requests a second in the measurement of latency at a fixed rate
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,

    /// Measure this program instead of the one that is built from this tree
    #[arg(long, value_name = "PROGRAM")]
    weir: Option<PathBuf>,

    /// The core of the proxies, and that of the load and the origin
    #[arg(long, value_name = "PROXY,LOAD", default_value = "0,1", value_parser = parse_cores)]
    cores: Cores,

    /// Write every measurement to this file
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,

    /// Put the table into this file, in place of the one that is there
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,

    /// Instead of measuring, record where the proxies (Weir, unless --only names others) spend their time
    #[arg(long)]
    profile: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    Proxy,
    Randomness,
    Lua,
    Routes,
    Auth,
    Assess,
    Feed,
    Seed,
    All,
}

/// Which core runs what.
#[derive(Clone, Copy, Debug)]
struct Cores {
    proxy: usize,
    load: usize,
}

fn parse_cores(text: &str) -> Result<Cores> {
    let parse = |core: &str| core.trim().parse::<usize>();
    match text.split_once(',').map(|(proxy, load)| (parse(proxy), parse(load))) {
        Some((Ok(proxy), Ok(load))) if proxy != load => Ok(Cores { proxy, load }),
        _ => bail!("two different cores, as in 0,1"),
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let wanted = |what| args.what == what || args.what == What::All;
    if wanted(What::Proxy) {
        proxy::run(args)?;
    }
    if wanted(What::Randomness) && !args.profile {
        randomness::run(args)?;
    }
    if wanted(What::Lua) && !args.profile {
        lua::run(args)?;
    }
    if wanted(What::Routes) && !args.profile {
        routes::run(args)?;
    }
    if wanted(What::Auth) && !args.profile {
        auth::run(args)?;
    }
    if wanted(What::Assess) && !args.profile {
        assess::run(args)?;
    }
    if wanted(What::Feed) && !args.profile {
        feed::run(args)?;
    }
    if wanted(What::Seed) && !args.profile {
        seed::run(args)?;
    }
    Ok(ExitCode::SUCCESS)
}
