//! Where entities live: one trait, SQLite behind it, and a feed of changes.
