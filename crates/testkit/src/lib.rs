//! Servers, clients and fixtures for the workspace's tests.
