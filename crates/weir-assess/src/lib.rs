//! How unpredictable bytes are, measured by published tests: SP 800-90B, FIPS 140-2, SP 800-22 and the figures of ENT.

pub mod battery;
pub mod ent;
pub mod fips140_2;
pub mod plot;
pub mod probability;
pub mod repeats;
pub mod sp800_22;
pub mod sp800_90b;
pub mod verdict;
