//! The formats around DEFLATE: none, or a header and a footer.
//!
//! libdeflate has these formats, too, but its checksums do not use vectors in WebAssembly: they
//! took a sixth of the time.

use checksum_kernel::{Adler32, Crc, Ieee, checksum_of};

const METHOD_DEFLATE: u8 = 8;
const PART_MAX: usize = 10;

/// A header or a footer.
pub struct Part {
    bytes: [u8; PART_MAX],
    size: usize,
}

impl Part {
    fn new(parts: &[&[u8]]) -> Self {
        let (mut bytes, mut size) = ([0; PART_MAX], 0);
        for part in parts {
            bytes[size..size + part.len()].copy_from_slice(part);
            size += part.len();
        }
        Self { bytes, size }
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

/// A format around DEFLATE.
pub trait Format {
    /// The error for data that is not of this format.
    const REFUSAL: &'static str;
    /// Bytes of the header and the footer when encoding.
    const OVERHEAD: usize;

    /// Returns the size of the header at the start of `encoded`; None when it is not valid.
    fn header_size(encoded: &[u8]) -> Option<usize>;

    /// Returns the header for a level.
    fn header(level: i32) -> Part;

    /// Returns the footer for decoded data.
    fn footer(data: &[u8]) -> Part;
}

/// No header and no footer.
pub struct Raw;

impl Format for Raw {
    const REFUSAL: &'static str = "port `bytes`: bad or truncated deflate stream";
    const OVERHEAD: usize = 0;

    fn header_size(_: &[u8]) -> Option<usize> {
        Some(0)
    }

    fn header(_: i32) -> Part {
        Part::new(&[])
    }

    fn footer(_: &[u8]) -> Part {
        Part::new(&[])
    }
}

/// A header of two bytes, and Adler-32: RFC 1950.
pub struct Zlib;

impl Zlib {
    /// The largest window, 32 KiB: log2 of its size, less 8.
    const WINDOW_MAX: u8 = 7;
    /// The flag of a stream that needs a preset dictionary.
    const DICTIONARY: u8 = 0x20;
    /// The header is a multiple of it.
    const CHECK: u16 = 31;
}

impl Format for Zlib {
    const REFUSAL: &'static str = "port `bytes`: bad or truncated zlib stream, or wrong checksum";
    const OVERHEAD: usize = 6;

    fn header_size(encoded: &[u8]) -> Option<usize> {
        let header: [u8; 2] = *encoded.first_chunk()?;
        let [method, flags] = header;
        (u16::from_be_bytes(header) % Self::CHECK == 0
            && method & 0xF == METHOD_DEFLATE
            && method >> 4 <= Self::WINDOW_MAX
            && flags & Self::DICTIONARY == 0)
            .then_some(header.len())
    }

    fn header(level: i32) -> Part {
        let hint = match level {
            ..=1 => 0,
            2..=5 => 1,
            6..=7 => 2,
            _ => 3,
        };
        let start = u16::from_be_bytes([Self::WINDOW_MAX << 4 | METHOD_DEFLATE, hint << 6]);
        Part::new(&[&(start + Self::CHECK - start % Self::CHECK).to_be_bytes()])
    }

    fn footer(data: &[u8]) -> Part {
        Part::new(&[&checksum_of::<Adler32>(data).to_be_bytes()])
    }
}

/// A member: a header of at least ten bytes, CRC-32 and the size: RFC 1952.
pub struct Gzip;

impl Gzip {
    const MAGIC: [u8; 3] = [0x1F, 0x8B, METHOD_DEFLATE];
    const FIXED: usize = 10;
    const CHECKSUM: u8 = 1 << 1;
    const EXTRA: u8 = 1 << 2;
    const NAME: u8 = 1 << 3;
    const COMMENT: u8 = 1 << 4;
    const RESERVED: u8 = 0xE0;
    const FASTEST: u8 = 4;
    const SLOWEST: u8 = 2;
    const SYSTEM_UNKNOWN: u8 = 255;

    /// Tells whether data, at least one byte, begin like a member.
    pub fn begins(data: &[u8]) -> bool {
        data.iter().zip(&Self::MAGIC[..2]).all(|(byte, wanted)| byte == wanted)
    }
}

impl Format for Gzip {
    const REFUSAL: &'static str =
        "port `bytes`: bad or truncated gzip member, or wrong checksum or size";
    const OVERHEAD: usize = Self::FIXED + 8;

    fn header_size(encoded: &[u8]) -> Option<usize> {
        let (fixed, mut rest) = encoded.split_first_chunk::<{ Self::FIXED }>()?;
        let flags = fixed[3];
        if !fixed.starts_with(&Self::MAGIC) || flags & Self::RESERVED != 0 {
            return None;
        }
        if flags & Self::EXTRA != 0 {
            let (size, behind) = rest.split_first_chunk()?;
            rest = behind.get(u16::from_le_bytes(*size) as usize..)?;
        }
        for text in [Self::NAME, Self::COMMENT] {
            if flags & text != 0 {
                rest = &rest[rest.iter().position(|byte| *byte == 0)? + 1..];
            }
        }
        if flags & Self::CHECKSUM != 0 {
            rest = rest.get(2..)?;
        }
        Some(encoded.len() - rest.len())
    }

    fn header(level: i32) -> Part {
        let hint = match level {
            ..=1 => Self::FASTEST,
            2..=7 => 0,
            _ => Self::SLOWEST,
        };
        // No name and no time.
        Part::new(&[&Self::MAGIC, &[0; 5], &[hint, Self::SYSTEM_UNKNOWN]])
    }

    fn footer(data: &[u8]) -> Part {
        let checksum = checksum_of::<Crc<Ieee>>(data);
        Part::new(&[&checksum.to_le_bytes(), &(data.len() as u32).to_le_bytes()])
    }
}
