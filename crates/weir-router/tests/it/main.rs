//! The router from outside: what was recorded of Kong, laws that hold for any routes, bounds of time and memory.

mod limits;
mod model;
mod paths;
mod properties;
mod recorded;
mod support;
