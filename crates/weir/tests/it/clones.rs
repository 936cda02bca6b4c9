//! A running machine is copied, and what its copies mint has nothing in common.

use std::collections::HashSet;
use std::process::Command;

use serde_json::Value;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/clones.py");
const COPIES: usize = 4;

/// Takes minutes, and a kernel that hears of copies: `WEIR_CLONE_KERNEL` names its image (Linux 5.18 or later).
/// `WEIR_CLONE_ARGS=--tcg` emulates the machine where /dev/kvm does not hold up.
#[test]
fn copies_of_a_running_machine_mint_nothing_alike() {
    let Some(kernel) = std::env::var_os("WEIR_CLONE_KERNEL") else {
        testkit::skip!("WEIR_CLONE_KERNEL names no kernel to boot virtual machines with");
    };
    let more = std::env::var("WEIR_CLONE_ARGS").unwrap_or_default();
    let mut command = Command::new("python3");
    command.arg(SCRIPT).arg(kernel).args([env!("CARGO_BIN_EXE_weir"), &COPIES.to_string()]);
    let output = command.args(more.split_whitespace()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let copies: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(copies.len(), COPIES);
    for kind in ["key", "id", "ticket"] {
        let of = |copy: &Value| -> Vec<String> {
            copy[kind].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        let mut seen = HashSet::new();
        for copy in &copies {
            // Within a copy one key seals many tickets; no two copies have one in common.
            let own: HashSet<String> = of(copy).into_iter().collect();
            assert!(!own.is_empty() && own.iter().all(|text| text.len() == 32), "{kind}: {own:?}");
            for text in own {
                assert!(seen.insert(text), "{kind} of two copies");
            }
        }
    }
}
