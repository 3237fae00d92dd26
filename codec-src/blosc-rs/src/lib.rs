//! blosc: chunks of Blosc 1, in the format of c-blosc's README_CHUNK_FORMAT.
//!
//! It does not use c-blosc's own container code, which needs threads and does not check the length
//! of a chunk; only the compressors are compiled in.

mod block;
mod blosclz;
mod compressor;
mod filter;
mod header;
mod snappy;

use chonkle_codec::{Inputs, Output, Outputs, Result, Transform};

use block::Blocks;
use compressor::Compressor;
use filter::Filter;
use header::{HEADER, Header, SIZE_MAX, STORED_MAX};

/// The largest element that a header can record.
const ELEMENT_MAX: u64 = 255;

struct Blosc;

impl Transform for Blosc {
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let (header, chunk) = Header::read(inputs.bytes("bytes")?)?;
        inputs.end("bytes", chunk.len())?;
        if header.is_stored {
            let size = chunk.len();
            let mut stored = inputs.take("bytes")?;
            stored.truncate(size);
            stored.drop_front(HEADER);
            return outputs.hand_back("bytes", stored);
        }
        let mut output = outputs.begin("bytes", header.size)?;
        let mut blocks = Blocks::new(&header)?;
        blocks.decode(chunk, &mut output.spare()[..header.size])?;
        // SAFETY: all blocks were written.
        unsafe { output.advance(header.size) };
        Ok(())
    }

    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let decoded = inputs.bytes("bytes")?;
        let level = inputs.int("clevel", 0..=9)? as i32;
        let compressor = Compressor::ALL[inputs.choice("cname", &Compressor::NAMES)?];
        let typesize = match inputs.has("typesize") {
            true => inputs.uint("typesize", 1..=u64::MAX)?,
            false => 1,
        };
        // As in c-blosc, larger elements count as single bytes.
        let element = if typesize <= ELEMENT_MAX { typesize as usize } else { 1 };
        let filter = match inputs.int("shuffle", -1..=2)? {
            0 => Filter::None,
            2 => Filter::Bits,
            -1 if typesize == 1 => Filter::Bits,
            _ => Filter::Bytes,
        };
        let block = inputs.uint("blocksize", 0..=i32::MAX as u64)? as usize;
        if decoded.len() > SIZE_MAX {
            return Err("port `bytes`: more than the 2147483631 bytes that a chunk may hold".into());
        }
        let mut output = outputs.begin("bytes", HEADER + decoded.len())?;
        let mut header = Header::new(compressor, level, filter, element, decoded.len(), block);
        if level > 0 && decoded.len() > STORED_MAX {
            let room = &mut output.spare()[..HEADER + decoded.len()];
            if let Some(size) = Blocks::new(&header)?.encode(level, decoded, room)? {
                header.write(size, room);
                // SAFETY: the header and all blocks were written.
                unsafe { output.advance(size) };
                return Ok(());
            }
        }
        header.is_stored = true;
        store(&header, decoded, &mut output)
    }
}

/// Writes a chunk that is not compressed.
fn store(header: &Header, decoded: &[u8], output: &mut Output) -> Result {
    let size = HEADER + decoded.len();
    header.write(size, output.spare());
    // SAFETY: the header was written.
    unsafe { output.advance(HEADER) };
    output.extend(decoded)
}

chonkle_codec::export!(Blosc);
