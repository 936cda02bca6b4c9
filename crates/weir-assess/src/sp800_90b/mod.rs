//! SP 800-90B: how much min-entropy a noise source gives, from its samples.
//!
//! - [`assess`]: the ten estimators of 6.3, over the symbols and over their bits, for sources that are not known to be
//!   independent and identically distributed; each is there on its own as well.
//! - [`iid`](fn@iid): the tests of section 5, for sources that claim to be.
//! - [`restart`](fn@restart): the restart tests of 3.1.4.
//! - [`Conditioner`]: what of the entropy comes out of a conditioning function, 3.1.5.
//!
//! Every figure, intermediate ones included, is that of NIST's reference tool
//! (usnistgov/SP800-90B_EntropyAssessment) to ten digits; where the standard leaves a choice, it is the tool's.
//!
//! An assessment bounds what these ten predictors can guess. It never shows that something is random: the output of a
//! cipher under a known key passes all of it.
//!
//! Absent on purpose: the source's own claim H_submitter, which is the caller's to take the minimum with.

mod assessment;
mod bisect;
mod collision;
mod compression;
mod conditioning;
mod context;
mod estimate;
mod iid;
mod lag;
mod lz78y;
mod markov;
mod most_common;
mod multi_mcw;
mod multi_mmc;
mod prediction;
mod progress;
mod restart;
mod samples;
mod suffix_array;
mod tuple;

pub use assessment::{Assessment, Skipped, assess};
pub use collision::collision;
pub use compression::compression;
pub use conditioning::{Conditioner, ConditioningError};
pub use estimate::{Estimate, Figure, NotEstimated};
pub use iid::{ChiSquare, IidAssessment, LongestRepeat, Permutation, iid};
pub use lag::lag;
pub use lz78y::lz78y;
pub use markov::markov;
pub use most_common::most_common_value;
pub use multi_mcw::multi_mcw;
pub use multi_mmc::multi_mmc;
pub use progress::{Cancelled, Done, Progress, Unwatched};
pub use restart::{RESTARTS, RestartAssessment, RestartError, restart, restart_cutoff};
pub use samples::{ADVISED_SAMPLES, MAX_SAMPLES, MIN_SAMPLES, Samples, SamplesError, Sequence, Stream};
pub use tuple::{TuplesOf, tuples};
