//! Listeners, workers, the life of a request, upstream connections.
