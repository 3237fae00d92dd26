//! Compiles liblzma from the sources in the crate liblzma-sys.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The folders compiled.
const FOLDERS: [&str; 7] = ["common", "lzma", "lz", "check", "delta", "rangecoder", "simple"];
/// The files left out: generators of tables, code with threads, small variants, other processors.
const OTHERS: [&str; 7] = [
    "tablegen",
    "consts_gen",
    "_small",
    "_mt",
    "outqueue",
    "hardware_cputhreads",
    "hardware_physmem",
];

/// The files changed, and the texts replaced in them.
///
/// Dictionaries grow: see dictionary.h. Matches are compared eight bytes at a time, as liblzma does
/// where a `size_t` has 64 bits.
const CHANGES: [(&str, &[(&str, &str)]); 2] = [
    (
        "lz/lz_decoder.c",
        &[
            ("#include \"lz_decoder.h\"\n", "#include \"dictionary.h\"\n"),
            (
                "\tif (lz_options.dict_size < 4096)\n",
                "\tlz_options.dict_size = my_min(lz_options.dict_size, DICTIONARY_MOST);\n\
                 \tif (lz_options.dict_size < 4096)\n",
            ),
            (
                "= lz_options.dict_size + 2 * LZ_DICT_REPEAT_MAX;",
                "= dictionary_begin(lz_options.dict_size + 2 * LZ_DICT_REPEAT_MAX, allocator);",
            ),
            (
                "\t\tif (coder->dict.pos == coder->dict.size) {\n",
                "\t\tif (!dictionary_grow(&coder->dict)) return LZMA_MEM_ERROR;\n\
                 \t\tif (coder->dict.pos == coder->dict.size) {\n",
            ),
        ],
    ),
    ("common/memcmplen.h", &[("SIZE_MAX == UINT64_MAX", "1")]),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src");
    let package = c_source::folder_of("liblzma-sys");
    let library = package.join("xz/src/liblzma");
    let changed = PathBuf::from(env::var_os("OUT_DIR").expect("OUT_DIR")).join("changed");
    for (file, changes) in CHANGES {
        write_changed(&library.join(file), &changed.join(file), changes);
    }
    let mut build = cc::Build::new();
    build.file("src/kernel.c").include("src").include(changed.join("common"));
    for folder in FOLDERS {
        build.files(sources(&library, &changed, folder)).include(library.join(folder));
    }
    build
        .include(library.join("api"))
        .include(package.join("xz/src/common"))
        .include(package)
        .define("HAVE_CONFIG_H", None)
        .define("TUKLIB_FAST_UNALIGNED_ACCESS", None)
        // Never called: see kernel.c.
        .define("malloc", "lzma_kernel_malloc")
        .define("calloc", "lzma_kernel_calloc")
        .define("free", "lzma_kernel_free")
        .warnings(false);
    build.compile("lzma_kernel");
}

/// Returns the C files of a folder, sorted, for reproducible builds.
fn sources(library: &Path, changed: &Path, folder: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(library.join(folder)).expect("the sources of liblzma");
    let mut names: Vec<String> = files
        .map(|file| file.expect("a file").file_name().into_string().expect("a name"))
        .filter(|name| {
            name.strip_suffix(".c")
                .is_some_and(|stem| !OTHERS.iter().any(|other| stem.ends_with(other)))
        })
        .collect();
    names.sort();
    let places = names.iter().map(|name| {
        let ours = changed.join(folder).join(name);
        if ours.exists() { ours } else { library.join(folder).join(name) }
    });
    places.collect()
}

fn write_changed(from: &Path, to: &Path, changes: &[(&str, &str)]) {
    let mut text = fs::read_to_string(from).expect("the sources of liblzma");
    for (theirs, ours) in changes {
        assert_eq!(text.matches(theirs).count(), 1, "liblzma is another one: {theirs}");
        text = text.replace(theirs, ours);
    }
    fs::create_dir_all(to.parent().expect("a folder")).expect("OUT_DIR");
    fs::write(to, text).expect("OUT_DIR");
}
