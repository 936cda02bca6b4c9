//! Tail probabilities: what the tests turn their statistics into.
//!
//! Contract: each function answers a probability in 0..=1 for every argument, also for those outside of a function's domain
//! (which count as "nothing unusual", 1) and for infinities. Relative error below 1e-12 where the result is above 1e-300.
//!
//! Deliberately absent: densities and quantiles; no test needs them.

/// The probability that a normal deviate is farther from its mean than `z` standard deviations, to either side.
pub fn normal_two_sided(z: f64) -> f64 {
    erfc(z.abs() / std::f64::consts::SQRT_2)
}

/// The complementary error function, 1 for what is not a number.
pub fn erfc(x: f64) -> f64 {
    if x.is_nan() { 1.0 } else { libm::erfc(x).clamp(0.0, 1.0) }
}

/// The standard normal distribution function.
pub fn normal_below(z: f64) -> f64 {
    if z.is_nan() { 1.0 } else { (0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)).clamp(0.0, 1.0) }
}

/// The probability that chi-square with `freedom` degrees of freedom exceeds `chi_square`.
pub fn chi_square_above(chi_square: f64, freedom: f64) -> f64 {
    igamc(freedom / 2.0, chi_square / 2.0)
}

/// The upper regularized incomplete gamma function Q(a, x), `igamc` in SP 800-22 5.5.3.
///
/// The power series below the mean, the continued fraction above it (Abramowitz and Stegun 6.5.29 and 6.5.31).
pub fn igamc(a: f64, x: f64) -> f64 {
    if x.is_nan() || !a.is_finite() || x <= 0.0 || a <= 0.0 {
        return 1.0;
    }
    if x.is_infinite() {
        return 0.0;
    }
    let tail = if x < a + 1.0 { 1.0 - front(a, x) * series(a, x) } else { front(a, x) * fraction(a, x) };
    tail.clamp(0.0, 1.0)
}

/// The probability that chi-square with `freedom` degrees of freedom is as far out as `chi_square`, to either side: frequencies
/// can also be too even.
pub fn chi_square_two_sided(chi_square: f64, freedom: f64) -> f64 {
    let (above, below) = (chi_square_above(chi_square, freedom), igam(freedom / 2.0, chi_square / 2.0));
    (2.0 * above.min(below)).min(1.0)
}

/// The lower regularized incomplete gamma function P(a, x) for a and x above 0.
fn igam(a: f64, x: f64) -> f64 {
    let below_mean = x.is_finite() && a.is_finite() && x > 0.0 && x < a + 1.0;
    if below_mean {
        (front(a, x) * series(a, x)).min(1.0)
    } else if x <= 0.0 {
        0.0
    } else {
        1.0 - igamc(a, x)
    }
}

/// The sum of x^k / ((a+1)...(a+k)), that is P(a, x) over [`front`].
fn series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum, mut denominator) = (1.0, 1.0, a);
    while term > sum * f64::EPSILON / 8.0 {
        denominator += 1.0;
        term *= x / denominator;
        sum += term;
    }
    sum
}

/// Q(a, x) over [`front`], by Lentz's method on the continued fraction 6.5.31 in its even form.
fn fraction(a: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut value = d;
    for i in 1..1_000_000 {
        let i = f64::from(i);
        let numerator = -i * (i - a);
        b += 2.0;
        d = numerator * d + b;
        d = 1.0 / if d.abs() < TINY { TINY } else { d };
        c = b + numerator / c;
        if c.abs() < TINY {
            c = TINY;
        }
        let step = d * c;
        value *= step;
        if (step - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    a * value
}

/// x^a e^-x / Γ(a+1).
///
/// For large a by way of the distance of x from a: the obvious logarithms are huge, and so would be the error of their sum.
fn front(a: f64, x: f64) -> f64 {
    if a < 20.0 {
        return (a * x.ln() - x - libm::lgamma(a + 1.0)).exp();
    }
    let distance = (x - a) / a;
    (a * log1p_minus(distance)).exp() / ((std::f64::consts::TAU * a).sqrt() * stirling(a).exp())
}

/// ln(1+u) - u, without cancellation near 0.
fn log1p_minus(u: f64) -> f64 {
    if u.abs() > 0.3 {
        return u.ln_1p() - u;
    }
    // -u²/2 + u³/3 - ...
    let (mut power, mut sum) = (-u, 0.0);
    // At 0.3 it takes 30 terms.
    for k in 2..50 {
        power *= -u;
        sum -= power / f64::from(k);
    }
    sum
}

/// ln Γ(a+1) less Stirling's (a + 1/2) ln a - a + ln √2π (Abramowitz and Stegun 6.1.41), for a of 20 and more.
fn stirling(a: f64) -> f64 {
    let r = 1.0 / (a * a);
    (1.0 / 12.0 - r * (1.0 / 360.0 - r * (1.0 / 1260.0 - r * (1.0 / 1680.0 - r / 1188.0)))) / a
}

/// The probability of `hits` or more among `trials`, each of which hits with probability `p`: exact, by summing terms.
pub fn binomial_at_least(hits: u64, trials: u64, p: f64) -> f64 {
    if hits == 0 || p.is_nan() {
        return 1.0;
    }
    if hits > trials || p <= 0.0 {
        return 0.0;
    }
    if p >= 1.0 {
        return 1.0;
    }
    // Terms fall from here on if it lies above the mean; else the other side is summed.
    if hits as f64 > trials as f64 * p {
        upper_terms(hits, trials, p).min(1.0)
    } else {
        (1.0 - upper_terms(trials - hits + 1, trials, 1.0 - p)).clamp(0.0, 1.0)
    }
}

/// The sum of binomial terms from `hits`, above the mean, upwards.
fn upper_terms(hits: u64, trials: u64, p: f64) -> f64 {
    let (k, n) = (hits as f64, trials as f64);
    let (mut term, mut sum, mut k) = (binomial_term(k, n, p), 0.0, k);
    while term > sum * f64::EPSILON / 8.0 {
        sum += term;
        term *= (n - k) / (k + 1.0) * p / (1.0 - p);
        k += 1.0;
    }
    sum
}

/// C(n, k) p^k (1-p)^(n-k), in Loader's saddle-point form, which stays accurate for large n.
fn binomial_term(k: f64, n: f64, p: f64) -> f64 {
    if k == 0.0 {
        return (n * (-p).ln_1p()).exp();
    }
    if k == n {
        return (n * p.ln()).exp();
    }
    let exponent = stirling_error(n)
        - stirling_error(k)
        - stirling_error(n - k)
        - deviance(k, n * p)
        - deviance(n - k, n * (1.0 - p));
    (n / (std::f64::consts::TAU * k * (n - k))).sqrt() * exponent.exp()
}

/// As [`stirling`], for every a.
fn stirling_error(a: f64) -> f64 {
    if a >= 20.0 {
        return stirling(a);
    }
    libm::lgamma(a + 1.0) - ((a + 0.5) * a.ln() - a + 0.5 * std::f64::consts::TAU.ln())
}

/// x ln(x/mean) - x + mean, without cancellation where x is near the mean.
fn deviance(x: f64, mean: f64) -> f64 {
    -x * log1p_minus((mean - x) / x)
}

/// The probability of `hits` or more events where `mean` are expected (Poisson).
pub fn poisson_at_least(hits: u64, mean: f64) -> f64 {
    if hits == 0 || mean.is_nan() {
        return 1.0;
    }
    if mean <= 0.0 {
        return 0.0;
    }
    igam(hits as f64, mean)
}

#[cfg(test)]
#[allow(clippy::excessive_precision, reason = "expected values as they were computed")]
mod tests {
    use super::*;

    /// Expected values by mpmath 1.3 at 40 digits.
    fn assert_close(value: f64, expected: f64, what: impl std::fmt::Debug) {
        assert!((value / expected - 1.0).abs() < 1e-12, "{what:?}: {value:e} is not {expected:e}");
    }

    #[test]
    fn incomplete_gamma_is_exact_to_twelve_digits() {
        for (a, x, expected) in [
            (0.5, 0.3, 0.438_578_026_080_999_86),
            (0.5, 20.0, 2.539_628_589_470_865e-10),
            (1.5, 0.5, 0.801_251_956_901_200_8),
            (4.5, 9.0, 0.035_173_539_466_984_794),
            (9.9, 30.0, 6.317_219_216_893_032e-6),
            (2.5, 100.0, 2.840_622_898_641_531_7e-41),
            (20.0, 20.0, 0.470_257_266_839_239_99),
            (127.5, 150.0, 0.027_727_522_053_904_83),
            (127.5, 260.0, 2.738_087_703_092_794_6e-20),
            (512.0, 470.0, 0.970_930_642_523_952_78),
            (512.0, 700.0, 3.712_608_863_558_748_3e-14),
            (3906.5, 4100.25, 0.001_123_812_831_884_439_4),
            (16384.0, 16384.0, 0.498_961_087_459_223_89),
            (16384.0, 17000.0, 9.869_786_952_769_046e-7),
            (16384.0, 15900.0, 0.999_932_328_763_026_39),
            (1e6, 1.003e6, 0.001_361_740_646_217_591_5),
            (1e8, 1.0002e8, 0.022_755_530_774_855_203),
        ] {
            assert_close(igamc(a, x), expected, (a, x));
        }
    }

    #[test]
    fn binomial_and_poisson_tails_are_exact_to_twelve_digits() {
        for (hits, trials, p, expected) in [
            (1, 10, 0.1, 0.651_321_559_9),
            (7, 10, 0.5, 0.171_875),
            (20, 4000, 0.0008, 2.419_481_861_809_576e-10),
            (10_275, 20_000, 0.5, 5.174_850_150_339_73e-5),
            (90, 100_000, 0.0008, 0.144_389_204_919_328_28),
            (3, 1_000_000, 1e-7, 0.000_154_652_640_467_110_27),
            (40, 100_000, 0.0008, 0.999_999_721_530_151_84),
            (900, 1_000_000, 0.0008, 0.000_274_454_711_603_653_56),
        ] {
            assert_close(binomial_at_least(hits, trials, p), expected, (hits, trials, p));
        }
        for (hits, mean, expected) in [
            (1, 2e-6, 1.999_998_000_001_333_2e-6),
            (2, 2e-6, 1.999_997_333_335_333_2e-12),
            (5, 1.0, 0.003_659_846_827_343_712_3),
            (30, 10.0, 2.509_951_201_527_907_8e-7),
            (3, 10.0, 0.997_230_604_284_488_42),
        ] {
            assert_close(poisson_at_least(hits, mean), expected, (hits, mean));
        }
    }

    #[test]
    fn every_argument_gives_a_probability() {
        let odd = [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e-300, 0.5, 1.0, 1e9];
        for a in odd {
            for b in odd {
                for p in [igamc(a, b), chi_square_above(a, b), erfc(a), normal_two_sided(a), normal_below(a)]
                {
                    assert!((0.0..=1.0).contains(&p), "{a} {b}: {p}");
                }
            }
            for (hits, trials) in [(0, 0), (1, 0), (5, 10), (10, 10), (u64::MAX, u64::MAX), (1, u64::MAX)] {
                let p = binomial_at_least(hits, trials, a);
                assert!((0.0..=1.0).contains(&p), "{hits} of {trials} at {a}: {p}");
                assert!((0.0..=1.0).contains(&poisson_at_least(hits, a)), "{hits} at {a}");
            }
        }
    }
}
