//! Draws from the kernel's random number generator, and what this host says about it.
