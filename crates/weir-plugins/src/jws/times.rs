//! The times in a token (RFC 7519, 4.1.4 to 4.1.6).

use super::Members;

/// When a token is good: epoch seconds, with a fraction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Times {
    /// `exp`: it is good before this.
    pub expires: Option<f64>,
    /// `nbf`: it is good from this on.
    pub not_before: Option<f64>,
    /// `iat`: when it was made.
    pub issued: Option<f64>,
}

/// Why a token is not good at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// This claim is there and no number.
    #[error("{0} is no number")]
    NotANumber(&'static str),
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// It claims to be made later than now.
    #[error("the token was issued in the future")]
    IssuedLater,
}

impl Times {
    /// The times in these claims. One that is not there is `None`.
    ///
    /// # Errors
    /// [`TimeError::NotANumber`].
    pub fn of(claims: &Members<'_>) -> Result<Self, TimeError> {
        let read = |name| match (claims.number(name), claims.contains(name)) {
            (None, true) => Err(TimeError::NotANumber(name)),
            (time, _) => Ok(time),
        };
        Ok(Self { expires: read("exp")?, not_before: read("nbf")?, issued: read("iat")? })
    }

    /// Whether the token is good now (epoch seconds), with clocks that differ by so many seconds. A time that is not there
    /// is good.
    ///
    /// # Errors
    /// All but [`TimeError::NotANumber`].
    pub fn check(&self, now: f64, leeway: f64) -> Result<(), TimeError> {
        if self.expires.is_some_and(|expires| expires <= now - leeway) {
            return Err(TimeError::Expired);
        }
        if self.not_before.is_some_and(|not_before| not_before > now + leeway) {
            return Err(TimeError::NotYet);
        }
        if self.issued.is_some_and(|issued| issued > now + leeway) {
            return Err(TimeError::IssuedLater);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(claims: &str, now: f64, leeway: f64) -> Result<(), TimeError> {
        Times::of(&Members::parse(claims.as_bytes()).unwrap())?.check(now, leeway)
    }

    #[test]
    fn a_token_is_good_from_its_beginning_to_before_its_end() {
        let claims = r#"{"exp":200,"nbf":100,"iat":90.5}"#;
        assert_eq!(check(claims, 99.9, 0.0), Err(TimeError::NotYet));
        assert_eq!(check(claims, 99.9, 1.0), Ok(()));
        assert_eq!(check(claims, 100.0, 0.0), Ok(()));
        assert_eq!(check(claims, 199.9, 0.0), Ok(()));
        assert_eq!(check(claims, 200.0, 0.0), Err(TimeError::Expired));
        assert_eq!(check(claims, 200.0, 1.0), Ok(()));
        assert_eq!(check(r#"{"iat":11}"#, 10.0, 0.5), Err(TimeError::IssuedLater));
        assert_eq!(check("{}", 0.0, 0.0), Ok(()));
    }

    #[test]
    fn times_are_numbers() {
        for claims in [r#"{"exp":"1"}"#, r#"{"exp":null}"#, r#"{"exp":[1]}"#] {
            assert_eq!(check(claims, 0.0, 0.0), Err(TimeError::NotANumber("exp")), "{claims}");
        }
        assert_eq!(check(r#"{"exp":1e308}"#, 1e10, 60.0), Ok(()));
        assert_eq!(check(r#"{"exp":-1}"#, 0.0, 0.0), Err(TimeError::Expired));
    }
}
