pub mod batch_gcd;
pub mod rsa;
