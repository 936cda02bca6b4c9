//! Noise sources, their health tests, conditioning and credit.
