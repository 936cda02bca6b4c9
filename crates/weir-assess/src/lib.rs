//! How unpredictable bytes are, measured by published tests: SP 800-90B, FIPS 140-2, SP 800-22 and the figures of ENT.

pub mod sp800_90b;
