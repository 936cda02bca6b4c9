//! The log: lines on standard error, at a level that can be changed while the gateway runs.

use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt};

/// Kong's levels, and what each of them lets through.
const LEVELS: [(&str, LevelFilter); 6] = [
    ("debug", LevelFilter::DEBUG),
    ("info", LevelFilter::INFO),
    ("notice", LevelFilter::INFO),
    ("warn", LevelFilter::WARN),
    ("error", LevelFilter::ERROR),
    ("crit", LevelFilter::ERROR),
];

/// What a level lets through.
pub(crate) fn level(name: &str) -> Option<LevelFilter> {
    LEVELS.iter().find(|(other, _)| *other == name).map(|(_, level)| *level)
}

/// The level in force, and the means to change it.
#[derive(Clone)]
pub(crate) struct Levels {
    handle: reload::Handle<LevelFilter, Registry>,
    name: Arc<Mutex<String>>,
}

impl Levels {
    /// The level's name.
    pub(crate) fn get(&self) -> String {
        self.name.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the level.
    ///
    /// # Errors
    /// When there is no such level.
    pub(crate) fn set(&self, name: &str) -> Result<(), String> {
        let filter = level(name).ok_or_else(|| format!("there is no level '{name}'"))?;
        self.handle.reload(filter).map_err(|error| error.to_string())?;
        name.clone_into(&mut self.name.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

/// Starts the log.
pub(crate) fn start(name: &str) -> Levels {
    let (filter, handle) = reload::Layer::new(level(name).unwrap_or(LevelFilter::INFO));
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(colour()).with_target(false);
    // A second start in one process, as tests make it, keeps the first log.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Levels { handle, name: Arc::new(Mutex::new(name.to_owned())) }
}

/// Colours are for people: on a terminal, unless they asked for none.
fn colour() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
