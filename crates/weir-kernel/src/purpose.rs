//! What draws are for: one list, for whoever counts them.

/// What a draw is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// Credentials and other opaque tokens.
    Token,
    /// UUIDs.
    Uuid,
    /// Ids that the gateway gives to requests.
    RequestId,
    /// Passwords and passphrases.
    Password,
    /// Seeds of generators for what need not be secret.
    Seed,
    /// Cryptographic keys, nonces and salts.
    Key,
    /// TLS handshakes.
    Tls,
    /// Everything else.
    Other,
}

impl Purpose {
    /// Every purpose, in the order of declaration.
    pub const ALL: [Self; 8] = [
        Self::Token,
        Self::Uuid,
        Self::RequestId,
        Self::Password,
        Self::Seed,
        Self::Key,
        Self::Tls,
        Self::Other,
    ];

    /// A name for metrics: lower case, stable.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Uuid => "uuid",
            Self::RequestId => "request_id",
            Self::Password => "password",
            Self::Seed => "seed",
            Self::Key => "key",
            Self::Tls => "tls",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_purpose_has_a_place_and_a_name_of_its_own() {
        let names: std::collections::HashSet<_> = Purpose::ALL.iter().map(|purpose| purpose.name()).collect();
        assert_eq!(names.len(), Purpose::ALL.len());
        for (place, purpose) in Purpose::ALL.into_iter().enumerate() {
            assert_eq!(purpose as usize, place, "{purpose:?} is counted elsewhere");
        }
    }
}
