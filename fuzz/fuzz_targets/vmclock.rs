//! A VMClock page, which the hypervisor writes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_kernel::host::VmClock;

fuzz_target!(|page: &[u8]| {
    if VmClock::parse(page).is_ok() {
        assert!(page.starts_with(b"VCLK") && page[12] & 1 == 0);
    }
});
