//! Randomness has one door, `weir-kernel`, and the wall clock has one, `weir_kernel::clock`.
//!
//! Clippy's `disallowed-methods` holds that for the paths it is told; this looks for the names that such a door would
//! have to use, whatever crate they come from, in code and in the paths that strings hold. Comments may name them.
//!
//! The keys of hash tables (`RandomState`) go by no door: the standard library draws them for every `HashMap`, and they
//! are neither secrets nor ids.

use anyhow::Result;

use super::source;

/// Names in code that open another door, each a whole word; and what is used instead.
const NAMES: &[(&str, &str)] = &[
    ("getrandom", MINT),
    ("SYS_getrandom", MINT),
    ("getentropy", MINT),
    ("arc4random", MINT),
    ("RAND_bytes", MINT),
    ("RAND_priv_bytes", MINT),
    ("rand_bytes", MINT),
    ("SystemRandom", MINT),
    ("OsRng", MINT),
    ("SysRng", MINT),
    ("ThreadRng", MINT),
    ("thread_rng", MINT),
    ("from_os_rng", MINT),
    ("fastrand", MINT),
    ("Uuid::new_v4", "mint ids with weir_mint"),
    ("Uuid::now_v7", "mint ids with weir_mint"),
    ("_rdrand64_step", MINT),
    ("_rdseed64_step", MINT),
    ("SystemTime::now", CLOCK),
    ("UNIX_EPOCH.elapsed", CLOCK),
    ("Utc::now", CLOCK),
    ("Local::now", CLOCK),
    ("now_utc", CLOCK),
    ("Zoned::now", CLOCK),
    ("Timestamp::now", CLOCK),
    ("clock_gettime", CLOCK),
    ("gettimeofday", CLOCK),
];

/// Paths in strings that open another door.
const PATHS: &[&str] = &[
    "/dev/random",
    "/dev/urandom",
    "/dev/hwrng",
    "/proc/sys/kernel/random/uuid",
    "/proc/sys/kernel/random/boot_id",
];

const MINT: &str = "randomness comes from weir_kernel, tokens from weir_mint";
const CLOCK: &str = "the wall clock is read through weir_kernel::clock";

/// Where those names are in place, and why. The prefix of a path from the tree's root.
const IN_PLACE: &[(&str, &str)] = &[
    ("crates/weir-kernel/", "the door itself"),
    ("crates/weir-entropy/", "noise sources are read here, as sources and never as randomness"),
    ("crates/weir-feed/", "it feeds the pool behind the door, and names its files"),
    ("crates/weir-doctor/", "its verdicts speak of devices by name"),
    ("crates/weir-seed/tests/", "seeds are written to the devices of hosts, and nothing is drawn from them"),
    ("crates/weir/tests/it/seed_", "the same"),
    ("bench/", "measures the other doors beside ours"),
    ("xtask/src/lint/doors.rs", "this list"),
];

/// Every place that names another door.
pub(super) fn faults() -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for file in source::files()?.iter().filter(|file| file.ends_with(".rs")) {
        if IN_PLACE.iter().any(|(place, _)| file.starts_with(place)) {
            continue;
        }
        if let Some(text) = source::read(file)? {
            faults.extend(faults_of(&text).into_iter().map(|fault| format!("{file}:{fault}")));
        }
    }
    Ok(faults)
}

fn faults_of(text: &str) -> Vec<String> {
    let parts = source::divide(text);
    let mut faults = Vec::new();
    for (index, line) in parts.code.lines().enumerate() {
        for (name, instead) in NAMES.iter().filter(|(name, _)| holds_word(line, name)) {
            faults.push(format!("{}: {name}: {instead}", index + 1));
        }
    }
    for (line, string) in &parts.strings {
        if let Some(path) = PATHS.iter().find(|path| string == *path) {
            faults.push(format!("{line}: {path}: {MINT}"));
        }
    }
    faults
}

fn holds_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_doors_are_found() {
        let faults = |text: &str| faults_of(text).len();
        assert_eq!(faults("let x = ::getrandom::fill(&mut b);"), 1);
        assert_eq!(faults("use rand::rngs::OsRng;\nlet t = chrono::Utc::now();"), 2);
        assert_eq!(faults("File::open(\"/dev/urandom\")"), 1);
        assert_eq!(faults_of("\n\nthread_rng()")[0].split(':').next(), Some("3"));
    }

    #[test]
    fn talk_of_them_is_not_a_door() {
        assert!(faults_of("// getrandom(2) reads /dev/urandom\n/* OsRng */").is_empty());
        assert!(faults_of("let text = \"getrandom(2) blocks, unlike /dev/urandom\";").is_empty());
        assert!(faults_of("fn has_getrandom_vdso() {} let my_OsRng = 1;").is_empty());
    }
}
