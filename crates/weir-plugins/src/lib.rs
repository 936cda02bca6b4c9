//! The bundled plugins, one file each.
