//! Compiles the filters, and BloscLZ's compressor from the sources in the crate blosc-src.

const HEADERS: [&str; 2] = ["../kernels/bits", "../kernels/transpose"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src");
    for folder in HEADERS {
        println!("cargo::rerun-if-changed={folder}");
    }
    cc::Build::new().file("src/shuffle.c").includes(HEADERS).compile("blosc_shuffle");
    cc::Build::new()
        .file("src/blosclz_compress.c")
        .include(c_source::folder_of("blosc-src").join("c-blosc/blosc"))
        .warnings(false)
        .compile("blosc_blosclz");
}
