//! The ELF parser on this host's own vDSO, and on broken ones.

use weir_kernel::vdso::elf::{function, image_bytes};

/// This process's vDSO as bytes, or none where there is none.
fn own() -> Option<Vec<u8>> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.ends_with("[vdso]"))?;
    let (start, end) = line.split(' ').next()?.split_once('-')?;
    let [start, end] = [start, end].map(|hex| usize::from_str_radix(hex, 16).unwrap());
    let start = std::ptr::with_exposed_provenance::<u8>(start);
    let length = end - start.addr();
    // SAFETY: the kernel maps the vDSO readable for the life of the process.
    Some(unsafe { std::slice::from_raw_parts(start, length) }.to_vec())
}

#[cfg(target_arch = "x86_64")]
#[test]
fn finds_what_every_vdso_has_and_nothing_else() {
    let image = own().expect("x86-64 kernels map a vDSO");
    let bytes = image_bytes(&image[..4096]).unwrap();
    assert!(bytes <= image.len());
    let clock = function(&image[..bytes], b"__vdso_clock_gettime").unwrap();
    assert!(clock < bytes);
    assert_ne!(function(&image[..bytes], b"__vdso_gettimeofday"), Some(clock));
    for absent in [&b"__vdso_clock_gettim"[..], b"__vdso_clock_gettimee", b"LINUX_2.6", b""] {
        assert_eq!(function(&image[..bytes], absent), None, "{}", String::from_utf8_lossy(absent));
    }
}

#[test]
fn the_gnu_hash_table_alone_is_enough() {
    let Some(mut image) = own() else { testkit::skip!("no vDSO in this process") };
    let name = b"__vdso_clock_gettime";
    let Some(expected) = function(&image, name) else {
        testkit::skip!("this vDSO names its clock otherwise")
    };
    // Rename DT_HASH (4) in the dynamic table to a tag that nobody knows.
    let dynamic = image
        .windows(16)
        .step_by(8)
        .position(|entry| entry[..8] == 4u64.to_ne_bytes() && entry[8..] != [0; 8] && entry[10..] == [0; 6]);
    let Some(at) = dynamic.map(|index| index * 8) else { testkit::skip!("this vDSO has no DT_HASH") };
    image[at..at + 8].copy_from_slice(&0x7777_7777u64.to_ne_bytes());
    assert_eq!(function(&image, name), Some(expected));
}

#[test]
fn a_damaged_image_is_not_found_in_and_never_panics() {
    let Some(image) = own() else { testkit::skip!("no vDSO in this process") };
    for length in 0..image.len().min(4096) {
        let _ = (image_bytes(&image[..length]), function(&image[..length], b"__vdso_getrandom"));
    }
    // Every byte of the tables set to extremes, one after the other.
    for at in 0..image.len().min(0x600) {
        for value in [0, 0x7f, 0x80, 0xff] {
            let mut damaged = image.clone();
            damaged[at] = value;
            let _ = image_bytes(&damaged);
            if let Some(offset) = function(&damaged, b"__vdso_getrandom") {
                assert!(offset < damaged.len(), "byte {at} = {value}: offset {offset} outside");
            }
        }
    }
}

#[test]
fn random_bytes_are_no_image() {
    for length in [0, 1, 63, 64, 4096] {
        let mut bytes = vec![0; length];
        weir_kernel::fill(&mut bytes).unwrap();
        assert_eq!((image_bytes(&bytes), function(&bytes, b"x")), (None, None));
        let header = b"\x7fELF\x02\x01";
        if let Some(start) = bytes.get_mut(..header.len()) {
            start.copy_from_slice(header);
            let _ = (image_bytes(&bytes), function(&bytes, b"x"));
        }
    }
}
