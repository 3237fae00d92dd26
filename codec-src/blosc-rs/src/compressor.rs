//! The compressors of chunks.

use std::mem::MaybeUninit;

use chonkle_codec::Result;
use deflate_kernel::Zlib;
use lz4_kernel::Effort;

use crate::{blosclz, snappy};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Compressor {
    BloscLz,
    Lz4,
    Lz4Hc,
    Snappy,
    Zlib,
    Zstd,
}

/// DEFLATE's longest match is 258 bytes and takes at least 2 bits.
const DEFLATE_RATIO_MAX: usize = 1032;
/// A block of zstd holds at most 128 KiB and takes at least 4 bytes.
const ZSTD_RATIO_MAX: usize = (128 << 10) / 4;

impl Compressor {
    pub const ALL: [Self; 6] =
        [Self::BloscLz, Self::Lz4, Self::Lz4Hc, Self::Snappy, Self::Zlib, Self::Zstd];
    /// The names of all, in the same order.
    pub const NAMES: [&str; 6] = ["blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd"];

    /// The number of the format in a header.
    pub fn format(self) -> u8 {
        match self {
            Self::BloscLz => 0,
            Self::Lz4 | Self::Lz4Hc => 1,
            Self::Snappy => 2,
            Self::Zlib => 3,
            Self::Zstd => 4,
        }
    }

    pub fn of_format(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|compressor| compressor.format() == number)
    }

    /// Whether it favours ratio over speed: its blocks are larger.
    pub fn is_slow(self) -> bool {
        matches!(self, Self::Lz4Hc | Self::Zlib | Self::Zstd)
    }

    /// Whether its blocks are split.
    pub fn splits(self) -> bool {
        self != Self::Zstd
    }

    /// The largest ratio of a stream.
    pub fn ratio_max(self) -> usize {
        match self {
            Self::BloscLz | Self::Lz4 | Self::Lz4Hc => lz4_kernel::RATIO_MAX,
            Self::Snappy => snappy::RATIO_MAX,
            Self::Zlib => DEFLATE_RATIO_MAX,
            Self::Zstd => ZSTD_RATIO_MAX,
        }
    }

    /// Decompresses a stream, which must fill the room; false when it does not.
    pub fn decompress(self, stream: &[u8], room: &mut [MaybeUninit<u8>]) -> Result<bool> {
        Ok(match self {
            Self::BloscLz => blosclz::decompress(stream, room),
            Self::Lz4 | Self::Lz4Hc => lz4_kernel::decompress(stream, room),
            Self::Snappy => snappy::decompress(stream, room),
            Self::Zlib => deflate_kernel::fill::<Zlib>(stream, room)?,
            Self::Zstd => match zstd_kernel::decompress(stream, room) {
                Err(failure) if failure.is_out_of_memory() => return Err(failure.into()),
                result => result == Ok(room.len()),
            },
        })
    }

    /// Compresses a part of a block at a level from 1 to 9 and returns the compressed size; None
    /// when the room is too small.
    pub fn compress(
        self,
        level: i32,
        is_split: bool,
        part: &[u8],
        room: &mut [MaybeUninit<u8>],
    ) -> Result<Option<usize>> {
        Ok(match self {
            Self::BloscLz => blosclz::compress(level, is_split, part, room),
            Self::Lz4 => lz4_kernel::compress(Effort::Acceleration(10 - level), part, room)?,
            Self::Lz4Hc => lz4_kernel::compress(Effort::Level(level), part, room)?,
            Self::Snappy => snappy::compress(part, room)?,
            Self::Zlib => deflate_kernel::compress::<Zlib>(level, part, room)?,
            Self::Zstd => {
                let level = if level < 9 { 2 * level - 1 } else { zstd_kernel::level_max() };
                match zstd_kernel::compress(level, false, part, room) {
                    Err(failure) if failure.is_out_of_memory() => return Err(failure.into()),
                    result => result.ok(),
                }
            }
        })
    }
}
