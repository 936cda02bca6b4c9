//! The text of /proc/cpuinfo.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_kernel::host::Cpu;

fuzz_target!(|text: &[u8]| {
    if let Ok(cpu) = Cpu::parse(&String::from_utf8_lossy(text)) {
        assert_eq!(cpu.random.any(), !cpu.random.names().is_empty());
        assert!(cpu.vendor.is_none_or(|vendor| vendor.chars().count() <= 64));
    }
});
