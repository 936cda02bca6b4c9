//! The chi-square distribution's tail: the regularised upper incomplete gamma function.

/// Chance that a chi-square statistic of `df` degrees of freedom is at least `score`; 1 where there is none.
pub(super) fn chi_square_tail(score: f64, df: i64) -> f64 {
    upper(df as f64 / 2.0, score / 2.0)
}

/// Q(a, x), of half-integer a.
fn upper(a: f64, x: f64) -> f64 {
    if a <= 0.0 || x <= 0.0 {
        return 1.0;
    }
    let chance = if x < a + 1.0 { 1.0 - lower_series(a, x) } else { upper_fraction(a, x) };
    chance.clamp(0.0, 1.0)
}

/// P(a, x) by its power series (Abramowitz, Stegun 6.5.29).
fn lower_series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
    while term > sum * f64::EPSILON / 4.0 {
        n += 1.0;
        term *= x / n;
        sum += term;
    }
    sum * factor(a, x)
}

/// Q(a, x) by its continued fraction (Abramowitz, Stegun 6.5.31, in the form of Lentz).
fn upper_fraction(a: f64, x: f64) -> f64 {
    let tiny = 1e-300;
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / tiny;
    let mut d = 1.0 / b;
    let mut fraction = d;
    // Converges in about the square root of a steps near x = a, faster elsewhere.
    for step in 1..100_000_u32 {
        let step = f64::from(step);
        let an = -step * (step - a);
        b += 2.0;
        d = an * d + b;
        d = 1.0 / if d.abs() < tiny { tiny } else { d };
        c = b + an / c;
        c = if c.abs() < tiny { tiny } else { c };
        let change = c * d;
        fraction *= change;
        if (change - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    fraction * factor(a, x)
}

/// x^a·e^(-x)/Γ(a).
///
/// Written around x = a, where the logarithms of the three parts are large and nearly cancel.
fn factor(a: f64, x: f64) -> f64 {
    if a < 20.0 {
        return x.powf(a) * (-x).exp() / gamma_of_half(a);
    }
    let off = (x - a) / a;
    let square = 1.0 / (a * a);
    let stirling = (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0))) / a;
    (a * (off.ln_1p() - off) - stirling).exp() * (a / std::f64::consts::TAU).sqrt()
}

/// Γ(a), of a multiple of 1/2.
fn gamma_of_half(a: f64) -> f64 {
    let mut at = a;
    let mut product = 1.0;
    while at > 1.0 {
        at -= 1.0;
        product *= at;
    }
    if at == 1.0 { product } else { product * std::f64::consts::PI.sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_those_of_the_tables() {
        // df = 2: e^(-x/2). df = 1: erfc(sqrt(x/2)), 0.05 at 1.96².
        for x in [0.1, 1.0, 5.0, 50.0] {
            assert!((chi_square_tail(x, 2) - (-x / 2.0_f64).exp()).abs() < 1e-15);
        }
        assert!((chi_square_tail(3.841_458_820_694_124, 1) - 0.05).abs() < 1e-14);
        // Abramowitz, Stegun, table 26.8: 5 % points.
        for (df, point) in [(10, 18.307_038_053), (30, 43.772_971_826), (100, 124.342_113_404)] {
            assert!((chi_square_tail(point, df) - 0.05).abs() < 1e-10);
        }
        assert_eq!(chi_square_tail(0.0, 0), 1.0);
        assert_eq!(chi_square_tail(10.0, -3), 1.0);
    }

    #[test]
    fn both_expansions_meet() {
        for a in [0.5, 3.0, 19.5, 20.0, 127.5, 32_767.5] {
            let x = a + 1.0;
            assert!((1.0 - lower_series(a, x) - upper_fraction(a, x)).abs() < 1e-13, "{a}");
        }
    }
}
