//! Compiles zstd from the sources in the crate zstd-sys.

use std::path::PathBuf;
use std::{env, fs};

/// Changes of zstd's sources: the file, a text that occurs once in it, and the text that replaces
/// it. They do not change what is encoded and decoded.
const CHANGES: [(&str, &str, &str); 10] = [
    // The loop over sequences selects one of the last three offsets by a computed index. For that,
    // LLVM keeps the loop's state in memory and writes six fields for each sequence. Selection by
    // comparison keeps the state in registers: decoding is 3 to 14 % faster.
    (
        "decompress/zstd_decompress_block.c",
        "offset = seqState->prevOffset[ll0];",
        "offset = ll0 ? seqState->prevOffset[1] : seqState->prevOffset[0];",
    ),
    (
        "decompress/zstd_decompress_block.c",
        "seqState->prevOffset[1] = seqState->prevOffset[!ll0];",
        "seqState->prevOffset[1] = ll0 ? seqState->prevOffset[0] : seqState->prevOffset[1];",
    ),
    (
        "decompress/zstd_decompress_block.c",
        ": seqState->prevOffset[offset];",
        ": offset == 1 ? seqState->prevOffset[1] : seqState->prevOffset[2];",
    ),
    // See sequence_end.h. With the masks in zstd.c, decoding is 2 to 8 % faster.
    (
        "decompress/zstd_decompress_block.c",
        "HINT_INLINE\nZSTD_ALLOW_POINTER_OVERFLOW_ATTR\nsize_t ZSTD_execSequence(",
        "#include \"sequence_end.h\"
        HINT_INLINE ZSTD_ALLOW_POINTER_OVERFLOW_ATTR size_t ZSTD_execSequence(",
    ),
    (
        "decompress/zstd_decompress_block.c",
        "return ZSTD_execSequenceEnd(op, oend, sequence, litPtr, litLimit, prefixStart, \
         virtualStart, dictEnd);",
        "{
            size_t size;
            *litPtr = exec_sequence_end(op, oend, sequence.litLength, sequence.matchLength,
                                        sequence.offset, *litPtr, litLimit, prefixStart,
                                        virtualStart, dictEnd, &size);
            return size;
        }",
    ),
    // Replaced by literals.h.
    (
        "decompress/huf_decompress.c",
        "loopFn = HUF_decompress4X1_usingDTable_internal_fast_c_loop;",
        "loopFn = decode_one_symbol;",
    ),
    (
        "decompress/huf_decompress.c",
        "loopFn = HUF_decompress4X2_usingDTable_internal_fast_c_loop;",
        "loopFn = decode_two_symbols;",
    ),
    (
        "decompress/huf_decompress.c",
        "#ifndef HUF_FORCE_DECOMPRESS_X2\n\n",
        "#ifndef HUF_FORCE_DECOMPRESS_X2\n#include \"literals.h\"\n",
    ),
    // Replaced by fast.h.
    (
        "compress/zstd_fast.c",
        "size_t ZSTD_compressBlock_fast(\n",
        "static size_t their_compressBlock_fast(\n",
    ),
    // A shift is modulo 64, so the code length needs no mask when the bits above it are zero. Level
    // 1 is 2 % faster.
    (
        "compress/huf_compress.c",
        "bitC->bitContainer[idx] >>= HUF_getNbBits(elt);",
        "bitC->bitContainer[idx] >>= elt & 63;",
    ),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src");
    let library = c_source::folder_of("zstd-sys").join("zstd/lib");
    let changed = PathBuf::from(env::var_os("OUT_DIR").expect("OUT_DIR"));
    for files in CHANGES.chunk_by(|one, next| one.0 == next.0) {
        let path = library.join(files[0].0);
        let mut text = fs::read_to_string(&path).expect("the sources of zstd");
        for (_, theirs, ours) in files {
            assert_eq!(text.matches(theirs).count(), 1, "zstd is another one: {theirs}");
            text = text.replace(theirs, ours);
        }
        fs::write(changed.join(path.file_name().expect("a file")), text).expect("OUT_DIR");
    }
    cc::Build::new()
        .file("src/zstd.c")
        .include("src")
        .include(changed)
        .include(&library)
        .includes(["compress", "decompress"].map(|folder| library.join(folder)))
        // The main loops are unrolled by hand and handle sequences of a few bytes.
        .flags(["-fno-vectorize", "-fno-slp-vectorize", "-fno-unroll-loops"])
        .warnings(false)
        .compile("zstd_kernel");
}
