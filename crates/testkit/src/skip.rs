//! Tests that cannot run here say so.
//!
//! The test harness swallows what a passing test prints through `eprintln!`, so the line is written to standard error
//! itself. `cargo xtask test` counts these lines and takes them off the tests that passed.

use std::io::Write;

/// Ends the test here, as skipped: prints `SKIPPED: <test>: <reason>` to standard error and returns.
///
/// ```no_run
/// fn survives_a_reboot() {
///     if !std::path::Path::new("/dev/kvm").exists() {
///         testkit::skip!("needs /dev/kvm");
///     }
///     // ...
/// }
/// # survives_a_reboot();
/// ```
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => {{
        $crate::report_skip($crate::test_name!(), &::std::format!($($reason)+));
        return;
    }};
}

/// The path of the function it is used in, as the test harness names it: without the crate, and without the closures
/// and `async` blocks around the place.
///
/// ```
/// mod routes {
///     pub fn longest_path_wins() -> &'static str {
///         testkit::test_name!()
///     }
/// }
/// assert!(routes::longest_path_wins().ends_with("routes::longest_path_wins"));
/// ```
#[macro_export]
macro_rules! test_name {
    () => {{
        fn here() {}
        $crate::__name_of(&here)
    }};
}

#[doc(hidden)]
pub fn __name_of<T>(_: &T) -> &'static str {
    trim(std::any::type_name::<T>())
}

fn trim(path: &'static str) -> &'static str {
    let mut path = path.strip_suffix("::here").unwrap_or(path);
    while let Some(outer) = path.strip_suffix("::{{closure}}") {
        path = outer;
    }
    path.split_once("::").map_or(path, |(_crate, rest)| rest)
}

/// Prints the line of a skipped test. [`skip!`] is the usual way here; this is for helpers that return.
///
/// ```no_run
/// testkit::report_skip("keeps_its_leases", "needs root");
/// ```
pub fn report_skip(test: &str, reason: &str) {
    // One write, so that lines of tests that run side by side do not mix. Nobody to tell when standard error is gone.
    let _ = std::io::stderr().write_all(format!("SKIPPED: {test}: {reason}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::trim;

    #[test]
    fn names_lose_crate_and_closures() {
        assert_eq!(trim("it::tls::sni::here"), "tls::sni");
        assert_eq!(trim("it::tls::sni::{{closure}}::{{closure}}::here"), "tls::sni");
        assert_eq!(crate::test_name!(), "skip::tests::names_lose_crate_and_closures");
    }
}
