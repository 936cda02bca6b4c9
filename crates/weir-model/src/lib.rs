//! The gateway's entities: one definition each for fields, types, defaults, constraints and errors.
