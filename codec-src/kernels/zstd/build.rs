//! Compiles zstd, of the sources in the crate zstd-sys.

use std::path::PathBuf;
use std::{env, fs};

/// What is changed in the files of zstd: in which file, what stands there once, and what stands
/// there instead. What is encoded and decoded is the same.
const CHANGES: [(&str, &str, &str); 7] = [
    // The loop over sequences keeps the last three offsets in its state and picks one by an index
    // that is computed. For the sake of that, LLVM keeps the whole state in memory, and writes six
    // of its fields there for each sequence. Picking it by comparisons leaves the state in
    // registers, which makes decoding 3 to 14 % faster.
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
    // In sequence_end.h is why. It makes decoding 2 to 8 % faster, with the masks in zstd.c.
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
    // It is in fast.h.
    (
        "compress/zstd_fast.c",
        "size_t ZSTD_compressBlock_fast(\n",
        "static size_t their_compressBlock_fast(\n",
    ),
    // A shift counts modulo 64, and so the length of a code needs no mask where the bits above it
    // are zero. It makes level 1 2 % faster.
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
        // The loops that matter are unrolled by hand, and are about sequences of a few bytes.
        .flags(["-fno-vectorize", "-fno-slp-vectorize", "-fno-unroll-loops"])
        .warnings(false)
        .compile("zstd_kernel");
}
