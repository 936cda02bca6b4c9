//! Many p-values, one verdict, at stated odds of a false alarm.
//!
//! Whoever computes two hundred p-values sees one below 0.005 every time. Holm's step-down procedure (1979) bounds the probability
//! that a healthy source is condemned for *any* of them by the `false_alarm` that was asked for, however they
//! depend on each other: the least p-value is compared with false_alarm / k, the next with false_alarm / (k - 1), and so on
//! until one is not below.
//!
//! Deliberately absent: the power against any particular fault. What is not found is not thereby absent.

use serde::Serialize;

/// The odds at which a healthy source is condemned, if nobody says otherwise: one in a million.
pub const FALSE_ALARM: f64 = 1e-6;

/// A p-value and what it was computed from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Named {
    /// The test, and where it has several, which.
    pub name: String,
    /// The probability that a healthy source looks as odd.
    pub p_value: f64,
}

/// What all p-values together say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether anything is more than chance explains.
    pub found: bool,
    /// The probability that this is said of a healthy source: at most this.
    pub false_alarm: f64,
    /// How many p-values were compared.
    pub compared: usize,
    /// What is more than chance explains, the oddest first.
    pub findings: Vec<Named>,
    /// The least p-value of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least: Option<Named>,
}

/// Judges p-values together.
pub fn judge(p_values: Vec<Named>, false_alarm: f64) -> Verdict {
    let mut sorted = p_values;
    sorted.sort_by(|a, b| a.p_value.total_cmp(&b.p_value));
    let compared = sorted.len();
    let least = sorted.first().cloned();
    let odd = sorted
        .iter()
        .enumerate()
        .take_while(|(at, named)| named.p_value < false_alarm / (compared - at) as f64);
    let findings: Vec<Named> = odd.map(|(_, named)| named.clone()).collect();
    Verdict { found: !findings.is_empty(), false_alarm, compared, findings, least }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(p_values: &[f64]) -> usize {
        let named = p_values.iter().map(|p_value| Named { name: String::new(), p_value: *p_value }).collect();
        judge(named, 0.01).findings.len()
    }

    #[test]
    fn the_least_of_many_has_to_be_much_smaller() {
        assert_eq!(found(&[0.009]), 1);
        assert_eq!(found(&[0.009, 0.5]), 0);
        assert_eq!(found(&[0.5, 0.004, 0.009]), 0);
        assert_eq!(found(&[0.5, 0.003, 0.004]), 2);
        assert_eq!(found(&[]), 0);
    }
}
