//! The router from outside: what was recorded of Kong, laws that hold for any routes, bounds of time and memory.

// The attribute tells the lints that helpers, too, are tests, which may panic.
#[cfg(test)]
mod limits;
#[cfg(test)]
mod model;
#[cfg(test)]
mod paths;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod support;
