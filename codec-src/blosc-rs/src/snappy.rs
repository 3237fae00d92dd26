//! Snappy: a block of the raw format, with its decoded size before it.

use std::mem::MaybeUninit;
use std::slice;

use chonkle_codec::{Error, Result};
use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

/// A match of 64 bytes takes 3.
pub const RATIO_MAX: usize = 22;
/// More than the encoder's table of 2^14 numbers takes.
const TABLE: usize = 64 << 10;

/// Decompresses a stream, which must fill the output; false when it does not.
pub fn decompress(stream: &[u8], output: &mut [MaybeUninit<u8>]) -> bool {
    if decompress_len(stream) != Ok(output.len()) {
        return false;
    }
    output.fill(MaybeUninit::new(0));
    // SAFETY: all of it was written.
    let filled = unsafe { slice::from_raw_parts_mut(output.as_mut_ptr().cast(), output.len()) };
    Decoder::new().decompress(stream, filled).is_ok()
}

/// Compresses to a stream and returns its size; None when the room is too small.
pub fn compress(decoded: &[u8], room: &mut [MaybeUninit<u8>]) -> Result<Option<usize>> {
    // The encoder wants room for the largest stream there may be.
    let bound = max_compress_len(decoded.len());
    let mut stream = Vec::new();
    // With memory for the encoder's table, which it does not ask for fallibly.
    stream.try_reserve_exact(bound + TABLE).map_err(|_| Error::out_of_memory(bound + TABLE))?;
    stream.resize(bound, 0);
    stream.shrink_to_fit();
    let size = Encoder::new().compress(decoded, &mut stream).map_err(|_| "Snappy failed")?;
    let Some(target) = room.get_mut(..size) else {
        return Ok(None);
    };
    // SAFETY: bytes of one type, some of which were written.
    target.copy_from_slice(unsafe { slice::from_raw_parts(stream.as_ptr().cast(), size) });
    Ok(Some(size))
}
