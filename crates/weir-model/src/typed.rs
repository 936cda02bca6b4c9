//! Records as values with types, for those who act on them. Parsed once, when a configuration is built.
