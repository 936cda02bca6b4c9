//! HTTP methods as bits: a route's methods are compared with a request's in one instruction.

use crate::error::Reason;

/// The bit that all methods share which have none of their own; these are compared by name.
pub(crate) const OTHER: u16 = 1 << 15;

/// The methods that a route is for; all of them if it names none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Methods {
    bits: u16,
    others: Box<[Box<str>]>,
}

impl Methods {
    pub(crate) fn push(&mut self, name: &str) -> Result<(), Reason> {
        if name.is_empty() {
            return Err(Reason::Empty);
        }
        if !name.bytes().all(crate::header::is_token_byte) {
            return Err(Reason::Method);
        }
        let bit = bit(name);
        if bit == OTHER && !self.names_other(name) {
            let mut others = std::mem::take(&mut self.others).into_vec();
            others.push(name.into());
            self.others = others.into_boxed_slice();
        }
        self.bits |= bit;
        Ok(())
    }

    /// The bits of all methods named; 0 if none is.
    pub(crate) fn bits(&self) -> u16 {
        self.bits
    }

    /// Whether a method without a bit of its own is among those named.
    pub(crate) fn names_other(&self, name: &str) -> bool {
        self.others.iter().any(|other| **other == *name)
    }
}

/// The bit of a request's method. Methods are compared with regard to case (RFC 9110 9.1).
pub(crate) fn bit(name: &str) -> u16 {
    match name {
        "GET" => 1 << 0,
        "HEAD" => 1 << 1,
        "POST" => 1 << 2,
        "PUT" => 1 << 3,
        "DELETE" => 1 << 4,
        "PATCH" => 1 << 5,
        "OPTIONS" => 1 << 6,
        "TRACE" => 1 << 7,
        "CONNECT" => 1 << 8,
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_with_and_without_a_bit() {
        let mut methods = Methods::default();
        for name in ["GET", "PURGE", "PURGE", "TRACE"] {
            methods.push(name).unwrap();
        }
        assert_eq!(methods.bits(), bit("GET") | bit("TRACE") | OTHER);
        assert!(methods.names_other("PURGE") && !methods.names_other("purge") && !methods.names_other("GET"));
        assert_eq!(methods.others.len(), 1);
        assert_eq!(methods.push(""), Err(Reason::Empty));
        assert_eq!(methods.push("GET /"), Err(Reason::Method));
    }
}
