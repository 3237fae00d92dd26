//! zlib streams, RFC 1950, around what libdeflate decompresses.
//!
//! libdeflate's own reader of them has no vectors in WebAssembly for the checksum, which took a
//! sixth of the time.

use checksum_kernel::{Adler32, checksum_of};
use chonkle_codec::{Inputs, Outputs, Result};

use crate::decompress;
use crate::libdeflate::{Format, RAW, ZLIB};

/// What stands inside.
const DEFLATE: Format = Format { refusal: ZLIB.refusal, ..RAW };

const HEADER_SIZE: usize = 2;
const CHECKSUM_SIZE: usize = 4;
const METHOD_DEFLATE: u8 = 8;
/// The largest window, of 32 KiB.
const WINDOW_MAX: u8 = 7;
/// Says that a dictionary is needed that is not in the stream.
const DICTIONARY: u8 = 0x20;

/// Decodes the port `bytes` when it is one zlib stream, with nothing behind it.
pub fn decode_zlib(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
    let encoded = inputs.bytes("bytes")?;
    let (header, stream) = encoded.split_first_chunk().ok_or(ZLIB.refusal)?;
    if !is_header(*header) {
        return Err(ZLIB.refusal.into());
    }
    let mut output = outputs.begin("bytes", 0)?;
    let taken = decompress(&DEFLATE, stream, &mut output, 0)?;
    let checksum = stream[taken..].first_chunk::<CHECKSUM_SIZE>().ok_or(ZLIB.refusal)?;
    if u32::from_be_bytes(*checksum) != checksum_of::<Adler32>(output.as_mut_slice()) {
        return Err(ZLIB.refusal.into());
    }
    inputs.end("bytes", HEADER_SIZE + taken + CHECKSUM_SIZE)
}

fn is_header([method, flags]: [u8; HEADER_SIZE]) -> bool {
    u16::from_be_bytes([method, flags]) % 31 == 0
        && method & 0xF == METHOD_DEFLATE
        && method >> 4 <= WINDOW_MAX
        && flags & DICTIONARY == 0
}
