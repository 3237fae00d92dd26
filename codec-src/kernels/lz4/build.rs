//! Compiles lz4 from the sources in the crate lz4-sys.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src");
    cc::Build::new()
        .file("src/lz4_kernel.c")
        .include(c_source::folder_of("lz4-sys").join("liblz4/lib"))
        // Most copies are of a few bytes: setting up vector loops costs more than it saves.
        .flags(["-fno-vectorize", "-fno-slp-vectorize", "-fno-unroll-loops"])
        .warnings(false)
        .compile("lz4_kernel");
}
