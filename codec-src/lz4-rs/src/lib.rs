//! lz4: the decoded size as four little-endian bytes, then one LZ4 block, as in numcodecs.

use std::ops::RangeInclusive;

use chonkle_codec::{Error, Inputs, Outputs, Result, Transform};
use lz4_kernel::{Effort, INPUT_MAX, RATIO_MAX};

/// Values that lz4 takes as they are.
const ACCELERATIONS: RangeInclusive<i64> = 1..=65537;
/// Bytes of the decoded size.
const HEADER: usize = 4;

struct Lz4;

impl Transform for Lz4 {
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let encoded = inputs.bytes("bytes")?;
        let Some((&header, block)) = encoded.split_first_chunk::<HEADER>() else {
            return Err("port `bytes`: truncated, expected a size of 4 bytes and a block".into());
        };
        let size = u32::from_le_bytes(header) as usize;
        if size > block.len().saturating_mul(RATIO_MAX).min(INPUT_MAX) {
            return Err(Error::new(format_args!(
                "port `bytes`: a block of {} bytes claims to hold {size}",
                block.len()
            )));
        }
        let mut output = outputs.begin("bytes", size)?;
        let room = &mut output.spare()[..size];
        let end = match lz4_kernel::decompress(block, room) {
            true => Some(block.len()),
            // A block has no mark of its end, so that lz4 refuses what follows.
            false => lz4_kernel::encoded_size(block, size)
                .filter(|&end| end < block.len() && lz4_kernel::decompress(&block[..end], room)),
        };
        let Some(end) = end else {
            return Err(Error::new(format_args!("port `bytes`: bad LZ4 block of {size} bytes")));
        };
        inputs.end("bytes", HEADER + end)?;
        // SAFETY: all of them were written.
        unsafe { output.advance(size) };
        Ok(())
    }

    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let decoded = inputs.bytes("bytes")?;
        let acceleration = inputs.clamped_int("acceleration", ACCELERATIONS)? as i32;
        if decoded.len() > INPUT_MAX {
            return Err("port `bytes`: more than the 2113929216 bytes that a block may hold".into());
        }
        let mut output = outputs.begin("bytes", HEADER + lz4_kernel::bound(decoded.len()))?;
        output.extend(&(decoded.len() as u32).to_le_bytes())?;
        let effort = Effort::Acceleration(acceleration);
        let size = lz4_kernel::compress(effort, decoded, output.spare())?;
        // SAFETY: lz4 wrote that many bytes to the spare room.
        unsafe { output.advance(size.ok_or("lz4 broke its own bound")?) };
        Ok(())
    }
}

chonkle_codec::export!(Lz4);
