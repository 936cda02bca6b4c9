//! Arguments for QEMU: the seed by its firmware configuration device, and virtio-rng.
//!
//! The seed itself is in a file: arguments are for everybody on the host to read. Linux shows what is under a name of the
//! firmware configuration device as a file; the names under `opt/` are for others than QEMU, by a reversed domain name
//! (QEMU, docs/specs/fw_cfg). The seed is there for as long as the machine is, and a guest's root may read it: no credit.

use std::path::Path;

/// The name under which a guest finds the seed.
pub const NAME: &str = "opt/org.weir-seed/seed";
/// Where Linux shows it (module `qemu_fw_cfg`), readable for root.
pub const GUEST_PATH: &str = "/sys/firmware/qemu_fw_cfg/by_name/opt/org.weir-seed/seed/raw";

/// Arguments that give a machine the seed in this file, and a source of its own that goes on giving. `None`: the path is not
/// UTF-8.
#[must_use]
pub fn arguments(seed_file: &Path) -> Option<Vec<String>> {
    // A comma ends an option's value, and two of them are one.
    let file = seed_file.to_str()?.replace(',', ",,");
    Some(vec![
        "-fw_cfg".into(),
        format!("name={NAME},file={file}"),
        "-object".into(),
        "rng-random,id=weir-rng,filename=/dev/urandom".into(),
        "-device".into(),
        "virtio-rng-pci,rng=weir-rng".into(),
    ])
}

/// The same in one line for a shell.
#[must_use]
pub fn shell_line(arguments: &[String]) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./,=:+@%".contains(&byte);
    let quoted = |word: &String| match !word.is_empty() && word.bytes().all(safe) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    };
    arguments.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_safe_from_qemu_and_from_the_shell() {
        let line = shell_line(&arguments(Path::new("/a,b/it's")).unwrap());
        assert!(
            line.starts_with("-fw_cfg 'name=opt/org.weir-seed/seed,file=/a,,b/it'\\''s' -object rng-random")
        );
    }
}
