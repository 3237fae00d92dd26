//! The chunks of a standalone file, checked before memory is allocated for them.
//!
//! ```text
//! chunk  number type: u8, count - 1: u24, metadata, page       little-endian
//! end    0: u8
//! ```
//!
//! pco allocates as much as the metadata requires. So its reader of chunks is not used: this one
//! checks first how much that is.

use std::mem::MaybeUninit;
use std::slice;

use chonkle_codec::{Output, Result};
use pco::data_types::{Number, NumberType};
use pco::metadata::{DeltaEncoding, FormatVersion};
use pco::wrapped::FileDecompressor;

use crate::memory;

pub const BAD: &str = "port `bytes`: bad or truncated pcodec file";

/// Numbers decoded at once: a few batches of pco, small enough for the first-level cache.
const COUNT: usize = 8 * pco::FULL_BATCH_N;
const END: u8 = 0;
const COUNT_BYTES: usize = 3;

/// The mode in the first 4 bits of the metadata; the size of its dictionary is in the next 25.
const DICTIONARY: u32 = 4;
const MODE_BITS: u32 = 4;
const DICTIONARY_SIZE_BITS: u32 = 25;
/// log2 of the largest lookback window allowed; pco writes at most 15.
const WINDOW_BITS: u32 = 18;

/// Appends the numbers of all chunks; returns how many bytes follow the file.
pub fn read_chunks<T: Number>(
    version: &FormatVersion,
    mut chunks: &[u8],
    output: &mut Output,
) -> Result<usize> {
    let version = [version.major, version.minor];
    let (file, _) = FileDecompressor::new(version.as_slice()).map_err(|_| BAD)?;
    let kind = NumberType::new::<T>() as u8;
    loop {
        let (&found, rest) = chunks.split_first().ok_or(BAD)?;
        if found == END {
            return Ok(rest.len());
        }
        let (count, rest) = rest.split_first_chunk::<COUNT_BYTES>().ok_or(BAD)?;
        let [low, middle, high] = *count;
        let count = u32::from_le_bytes([low, middle, high, 0]) as usize + 1;
        if found != kind {
            return Err(BAD.into());
        }
        memory::expect(memory::reading_metadata::<T>(dictionary_size(rest, size_of::<T>())?))?;
        chunks = read_chunk::<T>(&file, count, rest, output)?;
    }
}

/// Returns the size of the dictionary, 0 without one; an error when the metadata is too short for
/// it.
fn dictionary_size(metadata: &[u8], item_size: usize) -> Result<usize> {
    // pco reads missing bytes as zeros, and reports them later.
    let mut first = [0; 4];
    let size = metadata.len().min(first.len());
    first[..size].copy_from_slice(&metadata[..size]);
    let bits = u32::from_le_bytes(first);
    if bits & ((1 << MODE_BITS) - 1) != DICTIONARY {
        return Ok(0);
    }
    let size = (bits >> MODE_BITS & ((1 << DICTIONARY_SIZE_BITS) - 1)) as usize;
    if size > metadata.len() / item_size { Err(BAD.into()) } else { Ok(size) }
}

fn read_chunk<'a, T: Number>(
    file: &FileDecompressor,
    count: usize,
    metadata: &'a [u8],
    output: &mut Output,
) -> Result<&'a [u8]> {
    let (mut chunk, page) = file.chunk_decompressor::<T, _>(metadata).map_err(|_| BAD)?;
    match chunk.meta().delta_encoding {
        DeltaEncoding::Lookback { config, .. } if config.window_n_log > WINDOW_BITS => {
            return Err("port `bytes`: window of more than 2^18 numbers".into());
        }
        _ => {}
    }
    memory::expect(memory::reading::<T>(chunk.meta()))?;
    let mut page = chunk.page_decompressor(page, count).map_err(|_| BAD)?;
    // Numbers must be aligned, and an output is not.
    let mut numbers = [const { MaybeUninit::<T>::uninit() }; COUNT];
    let mut left = count;
    while left > 0 {
        let read = page.read_uninit(&mut numbers).map_err(|_| BAD)?.n_processed;
        if read == 0 {
            return Err(BAD.into());
        }
        // SAFETY: that many numbers were written.
        let bytes =
            unsafe { slice::from_raw_parts(numbers.as_ptr().cast(), read * size_of::<T>()) };
        if output.spare().len() < bytes.len() {
            output.reserve(bytes.len())?;
            // The output may have used the memory that was reserved for pco.
            memory::expect(0)?;
        }
        output.extend(bytes)?;
        left = left.saturating_sub(read);
    }
    Ok(page.into_src())
}
