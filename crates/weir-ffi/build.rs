//! What the linker has to know about `libweir.so`.

fn main() {
    let major = std::env::var("CARGO_PKG_VERSION_MAJOR").unwrap_or_default();
    // The name by which programs ask for it: it changes when they would have to be built anew.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libweir.so.{major}");
    // Once loaded it stays: threads that drew call back into it at their end, whatever became of the handle of dlopen.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,relro,-z,now");
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo:rustc-cdylib-link-arg=-Wl,-T,{folder}/no-constructor.ld");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=no-constructor.ld");
}
