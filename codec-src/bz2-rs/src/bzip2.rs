//! A safe interface to libbz2's streams: each lives for one call, and always ends with it.

use std::ffi::c_int;
use std::ptr;

use chonkle_codec::{Output, Result};
use libbz2_rs_sys as sys;

const QUIET: c_int = 0;
/// The faster decoder, which needs more memory.
const FAST: c_int = 0;
/// When to sort repetitive data with another algorithm: the library's default.
const WORK_FACTOR: c_int = 0;

const BAD: &str = "port `bytes`: bad or truncated bzip2 stream, or wrong checksum";
const NO_MEMORY: &str = "out of memory for bzip2's tables";

/// The offset of the level, a digit, in a stream.
const LEVEL_AT: usize = 3;
/// A block holds the level times `BLOCK` bytes, less `BLOCK_LESS`.
const BLOCK: usize = 100_000;
const BLOCK_LESS: usize = 19;

/// The header of a stream, with any level, before its first block or its end.
const HEADER: &[u8] = b"BZh";
const BLOCK_BEGINS: [u8; 6] = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
const STREAM_ENDS: [u8; 6] = [0x17, 0x72, 0x45, 0x38, 0x50, 0x90];

/// Tells whether data begin like a stream, or the first bytes of one.
pub fn begins(data: &[u8]) -> bool {
    let (header, rest) = data.split_at(data.len().min(HEADER.len()));
    let (level, block) = rest.split_at(rest.len().min(1));
    !data.is_empty()
        && HEADER.starts_with(header)
        && level.iter().all(|level| (b'1'..=b'9').contains(level))
        && [BLOCK_BEGINS, STREAM_ENDS].iter().any(|wanted| {
            wanted.starts_with(&block[..block.len().min(wanted.len())])
        })
}

/// The largest compressed size of `size` bytes.
pub fn bound(size: usize) -> usize {
    size.saturating_add(size / 100 + 600)
}

/// Decompresses the stream at the start of `encoded` and appends it to `output`. Returns the bytes
/// after the stream.
pub fn decompress<'a>(encoded: &'a [u8], output: &mut Output) -> Result<&'a [u8]> {
    let mut stream = empty();
    // SAFETY: the stream does not move before the guard ends it.
    let started = unsafe { sys::BZ2_bzDecompressInit(&mut stream, QUIET, FAST) };
    let mut guard = Guard { stream: &mut stream, end: sys::BZ2_bzDecompressEnd };
    expect(started, sys::BZ_OK)?;
    guard.feed(encoded);
    loop {
        // SAFETY: the stream points to the rest of `encoded` and to the spare room.
        match guard.step(output, |stream| unsafe { sys::BZ2_bzDecompress(stream) }) {
            (sys::BZ_STREAM_END, _) => return Ok(guard.left(encoded)),
            // The input is truncated.
            (sys::BZ_OK, 1..) => return Err(BAD.into()),
            (sys::BZ_OK, 0) => output.reserve(1)?,
            (code, _) => expect(code, sys::BZ_OK)?,
        }
    }
}

/// Compresses to a stream and appends it to `output`; the level is from 1 to 9.
pub fn compress(decoded: &[u8], level: c_int, output: &mut Output) -> Result {
    // Data that fits in one block compresses to the same bytes at each level, except for the level
    // itself. The lowest level has the smallest tables: clearing 8 MB takes time.
    let (start, least) = (output.len(), level_that_holds(decoded.len()).min(level));
    let mut stream = empty();
    // SAFETY: the stream does not move before the guard ends it.
    let started = unsafe { sys::BZ2_bzCompressInit(&mut stream, least, QUIET, WORK_FACTOR) };
    let mut guard = Guard { stream: &mut stream, end: sys::BZ2_bzCompressEnd };
    expect(started, sys::BZ_OK)?;
    guard.feed(decoded);
    loop {
        // SAFETY: the stream points to the rest of `decoded` and to the spare room.
        match guard.step(output, |stream| unsafe { sys::BZ2_bzCompress(stream, sys::BZ_FINISH) }) {
            (sys::BZ_STREAM_END, _) => {
                output.as_mut_slice()[start + LEVEL_AT] = b'0' + level as u8;
                return Ok(());
            }
            (sys::BZ_FINISH_OK, _) => output.reserve(1)?,
            (code, _) => expect(code, sys::BZ_STREAM_END)?,
        }
    }
}

/// Returns the lowest level whose block holds `size` bytes, even when they are runs of four, each
/// of which becomes five.
fn level_that_holds(size: usize) -> c_int {
    let most = size.saturating_add(size / 4 + BLOCK_LESS);
    (most / BLOCK).saturating_add(1).try_into().unwrap_or(c_int::MAX)
}

fn expect(code: c_int, wanted: c_int) -> Result {
    match code {
        code if code == wanted => Ok(()),
        sys::BZ_MEM_ERROR => Err(NO_MEMORY.into()),
        _ => Err(BAD.into()),
    }
}

fn empty() -> sys::bz_stream {
    sys::bz_stream {
        next_in: ptr::null(),
        avail_in: 0,
        total_in_lo32: 0,
        total_in_hi32: 0,
        next_out: ptr::null_mut(),
        avail_out: 0,
        total_out_lo32: 0,
        total_out_hi32: 0,
        state: ptr::null_mut(),
        bzalloc: None,
        bzfree: None,
        opaque: ptr::null_mut(),
    }
}

type End = unsafe extern "C" fn(*mut sys::bz_stream) -> c_int;

/// A stream that was begun, and the function that ends it.
struct Guard<'a> {
    stream: &'a mut sys::bz_stream,
    end: End,
}

impl Guard<'_> {
    fn feed(&mut self, input: &[u8]) {
        self.stream.next_in = input.as_ptr().cast();
        self.stream.avail_in = input.len() as u32;
    }

    /// Returns the bytes of an input that the stream did not take.
    fn left<'i>(&self, input: &'i [u8]) -> &'i [u8] {
        &input[input.len() - self.stream.avail_in as usize..]
    }

    /// Runs the stream in the spare room; returns the library's result and the room left.
    fn step(
        &mut self,
        output: &mut Output,
        run: impl FnOnce(*mut sys::bz_stream) -> c_int,
    ) -> (c_int, u32) {
        let room = output.spare();
        let size = room.len();
        self.stream.next_out = room.as_mut_ptr().cast();
        self.stream.avail_out = size as u32;
        let code = run(self.stream);
        let left = self.stream.avail_out;
        // SAFETY: the library wrote the bytes it counted.
        unsafe { output.advance(size - left as usize) };
        (code, left)
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // SAFETY: a stream; the library refuses one that did not begin.
        unsafe { (self.end)(self.stream) };
    }
}
