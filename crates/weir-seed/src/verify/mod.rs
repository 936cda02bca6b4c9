pub mod batch_gcd;
pub mod bundle;
mod der;
pub mod key;
pub mod rsa;
