//! An ELF image in place of the kernel's vDSO. What is found must lie inside of it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_kernel::vdso::elf::{MAX_IMAGE_BYTES, function, image_bytes};

fuzz_target!(|image: &[u8]| {
    if let Some(bytes) = image_bytes(image.get(..4096).unwrap_or(image)) {
        assert!((64..=MAX_IMAGE_BYTES).contains(&bytes));
    }
    for name in [&b"__vdso_getrandom"[..], b"__kernel_getrandom", b"", b"f"] {
        assert!(function(image, name).is_none_or(|offset| offset < image.len()));
    }
});
