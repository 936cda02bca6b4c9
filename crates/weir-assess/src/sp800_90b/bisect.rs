//! The root of a falling function, found by halving an interval: what 6.3.4 and 6.3.7 to 6.3.10 ask for.

/// More halvings than doubles between 0 and 1 can take.
const MAX_HALVINGS: usize = 1076;

/// Where in `low..high` the falling function `f` meets `target`, to the last bit that `f` can tell apart.
///
/// Ends at the upper end of what remains if `f` turns out not to fall.
pub(super) fn bisect(f: impl Fn(f64) -> f64, target: f64, low: f64, high: f64) -> f64 {
    let (mut low, mut high) = (low, high);
    let (mut at_low, mut at_high) = (f64::INFINITY, f64::NEG_INFINITY);
    for _ in 0..MAX_HALVINGS {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return high;
        }
        let value = f(middle);
        if (value - target).abs() <= f64::EPSILON * value.abs().max(target.abs()) {
            return middle;
        }
        if !(at_high..=at_low).contains(&value) {
            return high;
        }
        if value > target {
            (low, at_low) = (middle, value);
        } else {
            (high, at_high) = (middle, value);
        }
    }
    high
}
