//! The header of a chunk, and the size of its blocks.
//!
//! ```text
//! +0 u8 version    +1 u8 version of the compressor    +2 u8 flags    +3 u8 size of an element
//! +4 u32 size      +8 u32 size of a block             +12 u32 size of the chunk
//! ```

use std::mem::MaybeUninit;

use chonkle_codec::{Error, Result};

use crate::compressor::Compressor;
use crate::filter::Filter;

/// The size of a header.
pub const HEADER: usize = 16;
/// The largest decoded size of a chunk.
pub const SIZE_MAX: usize = i32::MAX as usize - HEADER;
/// The largest size that is always stored, as it is smaller than a block.
pub const STORED_MAX: usize = PART_MIN - 1;

/// The most parts of a split block, one for each byte of an element.
pub const PARTS_MAX: usize = 16;

const VERSION: u8 = 2;
const COMPRESSOR_VERSION: u8 = 1;

const BYTES_SHUFFLED: u8 = 1 << 0;
const STORED: u8 = 1 << 1;
const BITS_SHUFFLED: u8 = 1 << 2;
const RESERVED: u8 = 1 << 3;
const WHOLE: u8 = 1 << 4;
const COMPRESSOR_SHIFT: u8 = 5;

/// The smallest size of a block, and of a part of a split block.
const PART_MIN: usize = 128;
const BLOCK_MAX: usize = (i32::MAX as usize - 255 * 4) / 3;

const KIB: usize = 1 << 10;

pub struct Header {
    pub compressor: Compressor,
    pub filter: Filter,
    /// Whether the chunk is not compressed.
    pub is_stored: bool,
    /// Whether a block is split into a part for each byte of an element.
    pub is_split: bool,
    /// Bytes per element, at least 1.
    pub element: usize,
    /// The decoded size of the chunk.
    pub size: usize,
    /// Bytes per block, at least 1; the last one may have fewer.
    pub block: usize,
}

impl Header {
    /// Reads the header of the chunk at the start of `encoded`; returns the chunk, too. Checks that its
    /// sizes are consistent with each other and with the most that the chunk can decode to.
    pub fn read(encoded: &[u8]) -> Result<(Self, &[u8])> {
        let Some(head) = encoded.first_chunk::<HEADER>() else {
            return Err("port `bytes`: truncated, expected a header of 16 bytes".into());
        };
        let word = |at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (size, block, chunk_size) = (word(4) as usize, word(8) as usize, word(12) as usize);
        let (flags, element) = (head[2], usize::from(head[3]));
        if head[0] != VERSION || flags & RESERVED != 0 {
            return Err("port `bytes`: not a chunk of Blosc 1".into());
        }
        let Some(body) = encoded.get(HEADER..chunk_size) else {
            return Err(Error::new(format_args!(
                "port `bytes`: truncated, the header claims {chunk_size} bytes, got {}",
                encoded.len()
            )));
        };
        let is_stored = flags & STORED != 0 || size == 0;
        let compressor = Compressor::of_format(flags >> COMPRESSOR_SHIFT);
        let compressor = match compressor {
            Some(compressor) if head[1] == COMPRESSOR_VERSION => compressor,
            _ if is_stored => Compressor::Lz4,
            _ => return Err("port `bytes`: compressed by something unknown".into()),
        };
        let header = Self {
            compressor,
            filter: match () {
                () if flags & BYTES_SHUFFLED != 0 => Filter::Bytes,
                () if flags & BITS_SHUFFLED != 0 => Filter::Bits,
                () => Filter::None,
            },
            is_stored,
            is_split: flags & WHOLE == 0 && can_split(element, block),
            element,
            size,
            block,
        };
        if header.is_true(body.len()) {
            return Ok((header, &encoded[..chunk_size]));
        }
        Err(Error::new(format_args!(
            "port `bytes`: {} bytes claim to hold {size}, in blocks of {block} and elements of \
             {element} bytes",
            body.len()
        )))
    }

    /// Tells whether the header's sizes are possible with `body` bytes after it.
    fn is_true(&self, body: usize) -> bool {
        if self.is_stored {
            return body == self.size;
        }
        let ratio = self.compressor.ratio_max();
        self.element > 0
            && (1..=BLOCK_MAX.min(self.size)).contains(&self.block)
            && self.size <= body.saturating_mul(ratio).min(SIZE_MAX)
            && self.size.div_ceil(self.block) <= body / 4
            && !(self.is_split && self.block % self.element != 0)
    }

    /// Makes the header of a chunk; `block` is the wanted size of blocks, 0 for an automatic one.
    pub fn new(
        compressor: Compressor,
        level: i32,
        filter: Filter,
        element: usize,
        size: usize,
        block: usize,
    ) -> Self {
        let block = block_size(compressor, level, element, size, block);
        let is_split = compressor.splits() && can_split(element, block);
        Self { compressor, filter, is_stored: false, is_split, element, size, block }
    }

    /// Writes the header to a chunk, which has at least its size.
    pub fn write(&self, chunk_size: usize, chunk: &mut [MaybeUninit<u8>]) {
        let mut flags = self.compressor.format() << COMPRESSOR_SHIFT;
        flags |= match self.filter {
            Filter::None => 0,
            Filter::Bytes => BYTES_SHUFFLED,
            Filter::Bits => BITS_SHUFFLED,
        };
        flags |= if self.is_stored { STORED } else { 0 } | if self.is_split { 0 } else { WHOLE };
        let mut head = [0; HEADER];
        head[..4].copy_from_slice(&[VERSION, COMPRESSOR_VERSION, flags, self.element as u8]);
        for (at, value) in [(4, self.size), (8, self.block), (12, chunk_size)] {
            head[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
        }
        chunk[..HEADER].copy_from_slice(&head.map(MaybeUninit::new));
    }

    /// The number of parts of a block of `size` bytes.
    pub fn parts(&self, size: usize) -> usize {
        if self.is_split && size == self.block { self.element } else { 1 }
    }
}

fn can_split(element: usize, block: usize) -> bool {
    (1..=PARTS_MAX).contains(&element) && block / element >= PART_MIN
}

/// Chooses the size of a block as c-blosc does, for the same ratio.
fn block_size(
    compressor: Compressor,
    level: i32,
    element: usize,
    size: usize,
    wished: usize,
) -> usize {
    if size < element {
        return 1;
    }
    let mut block = match (wished, level) {
        (1.., _) => wished.clamp(PART_MIN, BLOCK_MAX),
        _ if size < 32 * KIB => size,
        (_, level) => {
            let times_8 = [2, 4, 8, 16, 32, 32, 64, 64, 64, 64][level as usize];
            let more = if compressor.is_slow() { if level == 9 { 4 } else { 2 } } else { 1 };
            4 * KIB * times_8 * more
        }
    };
    if level > 0 && compressor.splits() && can_split(element, block) {
        block = (block.min(256 * KIB) * element).clamp(64 * KIB, 1024 * KIB);
    }
    block = block.min(size);
    if block > element { block / element * element } else { block }
}
