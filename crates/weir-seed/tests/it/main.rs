//! What a user of the crate relies on, through its public interface.
