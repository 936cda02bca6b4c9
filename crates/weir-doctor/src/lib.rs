//! Verdicts on a host's randomness, from the facts that weir-kernel reads.
