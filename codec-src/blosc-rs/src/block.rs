//! The blocks of a chunk.
//!
//! ```text
//! +0 header    +16 u32 start of each block    { u32 size, stream }* of each block
//! ```
//!
//! A start is an offset from the header. A block has one stream or, when it is split, one for each
//! byte of an element. A stream as large as its decoded data is not compressed. The last block may
//! be smaller than the others; it is not split then.

use std::mem::MaybeUninit;
use std::slice;

use chonkle_codec::{Error, Result};

use crate::filter::Filter;
use crate::header::{HEADER, Header, PARTS_MAX};

/// The bytes of a start and of a size.
const WORD: usize = 4;
const BAD: &str = "port `bytes`: bad or truncated block";

/// Encodes or decodes the blocks of a chunk, with the same memory for each.
pub struct Blocks<'a> {
    header: &'a Header,
    /// Room for a filtered block, and scratch memory of the filter.
    memory: Vec<u8>,
}

impl<'a> Blocks<'a> {
    pub fn new(header: &'a Header) -> Result<Self> {
        let size = match header.filter {
            Filter::None => 0,
            _ => header.block.min(header.size).saturating_mul(2),
        };
        let mut memory = Vec::new();
        memory.try_reserve_exact(size).map_err(|_| Error::out_of_memory(size))?;
        Ok(Self { header, memory })
    }

    /// Decodes all blocks; the output has the size in the header.
    pub fn decode(&mut self, chunk: &[u8], output: &mut [MaybeUninit<u8>]) -> Result {
        let header = self.header;
        for (index, block) in output.chunks_mut(header.block).enumerate() {
            let start = word(chunk, HEADER + WORD * index)?;
            if header.filter == Filter::None {
                decode_streams(header, chunk, start, block)?;
                continue;
            }
            let (filtered, scratch) = self.memory.spare_capacity_mut().split_at_mut(header.block);
            let (filtered, scratch) = (&mut filtered[..block.len()], &mut scratch[..block.len()]);
            let count = header.parts(block.len());
            let parts = decode_streams(header, chunk, start, filtered)?;
            // SAFETY: these are the parts of the block.
            unsafe { header.filter.undo(header.element, &parts[..count], block, scratch) };
        }
        Ok(())
    }

    /// Encodes all blocks at a level from 1 to 9, and returns the size of the chunk; None when its
    /// room is too small. Does not write the header.
    pub fn encode(
        &mut self,
        level: i32,
        decoded: &[u8],
        chunk: &mut [MaybeUninit<u8>],
    ) -> Result<Option<usize>> {
        let header = self.header;
        let mut at = HEADER + WORD * decoded.len().div_ceil(header.block);
        for (index, block) in decoded.chunks(header.block).enumerate() {
            if put_word(chunk, HEADER + WORD * index, at).is_none() {
                return Ok(None);
            }
            let filtered = match header.filter {
                Filter::None => block,
                filter => {
                    let memory = self.memory.spare_capacity_mut();
                    let (filtered, scratch) = memory.split_at_mut(header.block);
                    let filtered = &mut filtered[..block.len()];
                    filter.apply(header.element, block, filtered, &mut scratch[..block.len()]);
                    // SAFETY: the filter wrote all of it.
                    unsafe { slice::from_raw_parts(filtered.as_ptr().cast(), filtered.len()) }
                }
            };
            match encode_streams(header, level, filtered, chunk, at)? {
                Some(end) => at = end,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }
}

/// Decodes the streams of a block, and returns where its parts are: in the room or, when the filter
/// takes parts and they are stored, in the chunk.
fn decode_streams<'a>(
    header: &Header,
    chunk: &'a [u8],
    mut at: usize,
    room: &'a mut [MaybeUninit<u8>],
) -> Result<[&'a [u8]; PARTS_MAX]> {
    let mut parts = [&[][..]; PARTS_MAX];
    let size = room.len() / header.parts(room.len());
    for (part, room) in parts.iter_mut().zip(room.chunks_exact_mut(size)) {
        let length = word(chunk, at)?;
        at += WORD;
        let stream = at.checked_add(length).and_then(|end| chunk.get(at..end)).ok_or(BAD)?;
        at += length;
        if length == size && header.filter.takes_parts() {
            *part = stream;
            continue;
        }
        if length == size {
            copy(stream, room);
        } else if !header.compressor.decompress(stream, room)? {
            return Err(BAD.into());
        }
        // SAFETY: all of it was written.
        *part = unsafe { slice::from_raw_parts(room.as_ptr().cast(), size) };
    }
    Ok(parts)
}

/// Writes the streams of a block at `at`; returns their end, or None when the room is too small.
fn encode_streams(
    header: &Header,
    level: i32,
    block: &[u8],
    chunk: &mut [MaybeUninit<u8>],
    mut at: usize,
) -> Result<Option<usize>> {
    let size = block.len() / header.parts(block.len());
    for part in block.chunks_exact(size) {
        let start = at + WORD;
        let end = start.saturating_add(size).min(chunk.len());
        let Some(room) = chunk.get_mut(start..end).filter(|room| !room.is_empty()) else {
            return Ok(None);
        };
        let length = match header.compressor.compress(level, header.is_split, part, room)? {
            Some(length) if length < size => length,
            _ if room.len() < size => return Ok(None),
            _ => {
                copy(part, room);
                size
            }
        };
        put_word(chunk, at, length);
        at = start + length;
    }
    Ok(Some(at))
}

fn word(chunk: &[u8], at: usize) -> Result<usize> {
    let bytes = chunk.get(at..).and_then(|rest| rest.first_chunk::<WORD>()).ok_or(BAD)?;
    Ok(u32::from_le_bytes(*bytes) as usize)
}

fn put_word(chunk: &mut [MaybeUninit<u8>], at: usize, value: usize) -> Option<()> {
    let bytes = (value as u32).to_le_bytes().map(MaybeUninit::new);
    chunk.get_mut(at..at + WORD)?.copy_from_slice(&bytes);
    Some(())
}

fn copy(from: &[u8], to: &mut [MaybeUninit<u8>]) {
    assert!(from.len() == to.len());
    // SAFETY: both have the same length and do not overlap.
    unsafe { to.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(from.as_ptr(), from.len()) }
}
