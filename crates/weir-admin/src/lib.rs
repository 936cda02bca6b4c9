//! The Admin API, the status API and metrics.
