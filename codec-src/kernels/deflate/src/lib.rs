//! DEFLATE (RFC 1951), raw or in one of its formats, with libdeflate.
//!
//! The crate zlib-rs decodes a satellite tile 18 % slower. At level 1 it reaches a ratio of 1.22,
//! and libdeflate 1.77 at the same speed.

mod format;
mod libdeflate;
mod sys;

use std::cell::Cell;
use std::mem::MaybeUninit;

use chonkle_codec::{Inputs, Output, Outputs, Result};

pub use format::{Format, Gzip, Raw, Zlib};
use libdeflate::{Compressor, Refusal};

/// The largest ratio: the longest match is 258 bytes and takes at least 2 bits.
const RATIO_MAX: usize = 1032;
/// The first room, as a multiple of the stream's size.
const RATIO_FIRST: usize = 4;
/// zlib's level `-1`.
const LEVEL_DEFAULT: i64 = 6;

thread_local! {
    /// The size of the last output, as the chunks of an array mostly have one size: libdeflate
    /// must start again when its room is too small.
    static LAST_SIZE: Cell<usize> = const { Cell::new(0) };
    /// The state of the last call, as making one takes longer than encoding a small chunk. Data of
    /// earlier calls in it has no influence on later ones.
    static COMPRESSOR: Cell<Option<Compressor>> = const { Cell::new(None) };
}

/// Decompresses the stream at the start of `encoded` and appends it to `output`. Returns its size.
///
/// `expected` is the probable decoded size, 0 when unknown; whatever it is, the memory allocated
/// is bounded by the size of `encoded`.
pub fn decompress<F: Format>(
    encoded: &[u8],
    output: &mut Output,
    expected: usize,
) -> Result<usize> {
    let header_size = F::header_size(encoded).ok_or(F::REFUSAL)?;
    let stream = &encoded[header_size..];
    let before = output.len();
    let bound = stream.len().saturating_mul(RATIO_MAX);
    let first = stream.len().saturating_mul(RATIO_FIRST);
    let wished = first.max(expected).max(LAST_SIZE.get()).min(bound);
    output.reserve(wished).or_else(|_| output.reserve(first))?;
    let result = loop {
        match libdeflate::decompress(stream, output.spare()) {
            Err(Refusal::TooLittleRoom) if output.spare().len() < bound => {
                output.grow(before.saturating_add(bound))?
            }
            result => break result,
        }
    };
    let (taken, given) = result.map_err(|_| F::REFUSAL)?;
    LAST_SIZE.set(given);
    // SAFETY: libdeflate wrote that many bytes to the spare room.
    unsafe { output.advance(given) };
    let footer = F::footer(&output.as_mut_slice()[before..]);
    if !stream[taken..].starts_with(footer.as_slice()) {
        return Err(F::REFUSAL.into());
    }
    Ok(header_size + taken + footer.as_slice().len())
}

/// Decompresses data that must fill the room; false when it does not, or is malformed.
pub fn fill<F: Format>(encoded: &[u8], room: &mut [MaybeUninit<u8>]) -> Result<bool> {
    let Some(header_size) = F::header_size(encoded) else { return Ok(false) };
    let stream = &encoded[header_size..];
    let result = libdeflate::decompress(stream, room);
    Ok(result.is_ok_and(|(taken, given)| {
        given == room.len() && {
            // SAFETY: libdeflate wrote all bytes of the room.
            let data = unsafe { room.assume_init_ref() };
            stream[taken..].starts_with(F::footer(data).as_slice())
        }
    }))
}

/// Decodes the port `bytes`, one stream.
pub fn decode<F: Format>(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
    let mut output = outputs.begin("bytes", 0)?;
    let taken = decompress::<F>(inputs.bytes("bytes")?, &mut output, 0)?;
    inputs.end("bytes", taken)
}

/// Encodes the port `bytes` at the level in the port `level`.
pub fn encode<F: Format>(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
    let decoded = inputs.bytes("bytes")?;
    let level = match inputs.int("level", -1..=9)? {
        -1 => LEVEL_DEFAULT as i32,
        level => level as i32,
    };
    let bound = with_compressor(level, |state| state.bound(decoded.len()))?;
    let mut output = outputs.begin("bytes", F::OVERHEAD + bound)?;
    let size = compress::<F>(level, decoded, output.spare())?;
    // SAFETY: that many bytes were written to the spare room.
    unsafe { output.advance(size.ok_or("libdeflate broke its own bound")?) };
    Ok(())
}

/// Compresses data and returns the compressed size; None when the room is too small.
pub fn compress<F: Format>(
    level: i32,
    decoded: &[u8],
    room: &mut [MaybeUninit<u8>],
) -> Result<Option<usize>> {
    let header = F::header(level);
    let header = header.as_slice();
    let Some((start, rest)) = room.split_at_mut_checked(header.len()) else { return Ok(None) };
    let Some(size) = with_compressor(level, |state| state.compress(decoded, rest))? else {
        return Ok(None);
    };
    let footer = F::footer(decoded);
    let footer = footer.as_slice();
    let Some(end) = rest[size..].get_mut(..footer.len()) else { return Ok(None) };
    for (to, from) in start.iter_mut().chain(end).zip(header.iter().chain(footer)) {
        to.write(*from);
    }
    Ok(Some(header.len() + size + footer.len()))
}

/// Calls a function with the state for a level.
fn with_compressor<T>(level: i32, using: impl FnOnce(&mut Compressor) -> T) -> Result<T> {
    let mut state = match COMPRESSOR.take() {
        Some(state) if state.level() == level => state,
        // The state of another level is freed first.
        _ => Compressor::new(level)?,
    };
    let result = using(&mut state);
    COMPRESSOR.set(Some(state));
    Ok(result)
}
