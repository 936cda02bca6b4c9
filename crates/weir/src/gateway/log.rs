//! The log: lines on standard error, at a level that can be changed while the gateway runs.

use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::filter::{LevelFilter, Targets};
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
    handle: reload::Handle<Targets, Registry>,
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
        self.handle.reload(targets(filter)).map_err(|error| error.to_string())?;
        name.clone_into(&mut self.name.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

/// What is let through of whom. At `debug` the libraries would say each statement and each frame: of them no more is
/// shown than at `info`, slow statements and failures included.
fn targets(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(level.min(LevelFilter::INFO))
        // What a peer does wrong is worth no warning: any peer could fill the log.
        .with_target("h2", LevelFilter::ERROR)
        .with_target("weir", level)
}

/// Starts the log.
pub(crate) fn start(name: &str) -> Levels {
    let (filter, handle) = reload::Layer::new(targets(level(name).unwrap_or(LevelFilter::INFO)));
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

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_say_no_more_than_info() {
        let debug = targets(LevelFilter::DEBUG);
        assert!(debug.would_enable("weir_proxy::worker", &Level::DEBUG));
        assert!(!debug.would_enable("sqlx::query", &Level::DEBUG));
        assert!(debug.would_enable("sqlx::query", &Level::WARN));
        let error = targets(LevelFilter::ERROR);
        assert!(
            !error.would_enable("sqlx::query", &Level::WARN) && !error.would_enable("weir", &Level::WARN)
        );
    }
}
