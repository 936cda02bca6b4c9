//! The interface between the gateway and its plugins.
