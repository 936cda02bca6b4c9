//! Raw paths from anywhere: the normal form is normal, and what the upstream gets is a URI's path that means the
//! same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_router::path::{escape, normalize, upstream_path};

fuzz_target!(|data: &[u8]| {
    // The first byte says how much is stripped and whether there is a base.
    let [choice, raw @ ..] = data else { return };
    let Ok(path) = normalize(raw) else { return };
    assert_eq!(normalize(path.as_bytes()).as_deref(), Ok(&*path));
    assert!(path.starts_with('/') && !path.contains("//") && !path.contains('\0'));
    assert!(path.split('/').all(|segment| !matches!(segment, "." | "..")));

    let matched =
        (0..=usize::from(choice & 15)).rev().find(|cut| path.is_char_boundary(*cut)).unwrap_or_default();
    let base = [None, Some("/"), Some("/base"), Some("/base/")][usize::from(choice >> 4 & 3)];
    let upstream = upstream_path(base, &path, matched, choice & 64 != 0);
    assert!(upstream.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(upstream.starts_with(base.map_or("/", |base| base.trim_end_matches('/'))));
    assert_eq!(
        normalize(upstream.as_bytes()).map(|again| escape(&again).into_owned()),
        Ok(upstream.into_owned())
    );
});
