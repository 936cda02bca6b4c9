//! What a token may do (RFC 6749, 3.3).

use super::Config;
use super::answer::Refused;

/// The scope that is granted where this one is asked for.
pub(super) fn granted(config: &Config, asked: Option<&str>) -> Result<Option<String>, Refused> {
    let Some(asked) = asked.filter(|asked| !asked.trim().is_empty()) else {
        if config.mandatory_scope {
            return Err(Refused::new("invalid_scope", "You must specify a scope"));
        }
        return Ok(None);
    };
    let known = config.scopes.as_deref().unwrap_or_default();
    match asked.split_whitespace().find(|scope| !known.iter().any(|known| known == scope)) {
        Some(unknown) => Err(Refused::new("invalid_scope", format!("\"{unknown}\" is an invalid scope"))),
        None => Ok(Some(asked.to_owned())),
    }
}

/// The scope of a token that takes the place of another: no more than that one's, and less where less is asked for
/// (RFC 6749, 6). What is asked for beyond it is left out, as Kong does not refuse it.
pub(super) fn narrowed(had: Option<&str>, asked: Option<&str>) -> Result<Option<String>, Refused> {
    let Some(asked) = asked else { return Ok(had.map(str::to_owned)) };
    let had: Vec<&str> = had.unwrap_or_default().split_whitespace().collect();
    let kept: Vec<&str> = asked.split_whitespace().filter(|scope| had.contains(scope)).collect();
    if kept.is_empty() {
        return Err(Refused::new("invalid_scope", "The token to be refreshed has none of these scopes"));
    }
    Ok(Some(kept.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refreshed_token_may_do_no_more() {
        let text = |result: Result<Option<String>, Refused>| result.map_err(|refused| refused.error);
        assert_eq!(text(narrowed(Some("a b"), None)), Ok(Some("a b".into())));
        assert_eq!(text(narrowed(Some("a b"), Some("b"))), Ok(Some("b".into())));
        assert_eq!(text(narrowed(Some("a"), Some("a c"))), Ok(Some("a".into())));
        assert_eq!(text(narrowed(Some("a"), Some("c"))), Err("invalid_scope"));
        assert_eq!(text(narrowed(None, Some("c"))), Err("invalid_scope"));
        assert_eq!(text(narrowed(None, None)), Ok(None));
    }
}
