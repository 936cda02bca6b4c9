//! Which route a request belongs to. Pure: no I/O, no clock.
