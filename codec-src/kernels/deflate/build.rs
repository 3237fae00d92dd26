//! Compiles libdeflate from the sources in the crate libdeflate-sys.

use std::path::{Path, PathBuf};
use std::{env, fs};

const DECOMPRESSOR: &str = "deflate_decompress.c";
/// The function in it, in a separate file. src/fast_loop.h replaces one of its loops.
const FUNCTION: &str = "decompress_template.h";
/// The text at the start of the function, of the loop, and of the code after the loop.
const BEGIN: &str = "#ifndef ATTRIBUTES\n";
const LOOP_BEGIN: &str = "	/*\n	 * This is the \"fastloop\" for decoding literals and matches.";
const LOOP_END: &str = "	/*\n	 * This is the generic loop for decoding literals and matches.";
const OUR_LOOP: &str = "
	struct fast_loop loop = {in_next, out_next, bitbuf, bitsleft};
	enum fast_loop_end end = run_fast_loop(&loop, in_fastloop_end, out, out_fastloop_end);
	SAFETY_CHECK(end != BAD_OFFSET);
	in_next = loop.in_next;
	out_next = loop.out_next;
	bitbuf = loop.bitbuf;
	bitsleft = loop.bitsleft;
	if (end == END_OF_BLOCK)
		goto block_done;
";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src");
    let library = c_source::folder_of("libdeflate-sys").join("libdeflate");
    let files = library.join("lib");
    let changed = PathBuf::from(env::var_os("OUT_DIR").expect("OUT_DIR"));
    // The compiler first looks for a header in the folder of the file that includes it.
    fs::copy(files.join(DECOMPRESSOR), changed.join(DECOMPRESSOR)).expect("OUT_DIR");
    fs::write(changed.join(FUNCTION), changed_text(&files.join(FUNCTION))).expect("OUT_DIR");
    // The loops handle a symbol or a few bytes, and are unrolled by hand: without LLVM's
    // vectorizing and unrolling, small chunks decode 1 to 2 % faster. The compressor would take
    // twice as long.
    build(&library)
        .file(changed.join(DECOMPRESSOR))
        .flags(["-fno-vectorize", "-fno-slp-vectorize", "-fno-unroll-loops"])
        .compile("decompressor");
    build(&library)
        .files(["deflate_compress.c", "utils.c"].map(|file| files.join(file)))
        .compile("libdeflate");
}

fn changed_text(path: &Path) -> String {
    let mut text = fs::read_to_string(path).expect("the sources of libdeflate");
    for part in [BEGIN, LOOP_BEGIN, LOOP_END] {
        assert_eq!(text.matches(part).count(), 1, "libdeflate is another one: {part}");
    }
    let at = |part: &str| text.find(part).expect("found above");
    let (begin, loop_begin, loop_end) = (at(BEGIN), at(LOOP_BEGIN), at(LOOP_END));
    assert!(begin < loop_begin && loop_begin < loop_end, "libdeflate is another one");
    text.replace_range(loop_begin..loop_end, OUR_LOOP);
    text.insert_str(begin, "#include \"fast_loop.h\"\n");
    text
}

fn build(library: &Path) -> cc::Build {
    let mut build = cc::Build::new();
    build
        .include("src")
        .include(library)
        .include(library.join("lib"))
        // No libc: src/libdeflate.rs allocates.
        .define("FREESTANDING", None)
        .flags(["-ffreestanding", "-include", "src/words.h"])
        .warnings(false);
    build
}
