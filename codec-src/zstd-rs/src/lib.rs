//! zstd: Zstandard frames (RFC 8878).

use std::ops::RangeInclusive;

use chonkle_codec::{Error, Inputs, Outputs, Result, Transform};
use zstd_kernel::Failure;

/// The first room when a frame does not record its decoded size: this multiple of the encoded size,
/// at least `ROOM_FIRST`.
const RATIO_FIRST: usize = 64;
const ROOM_FIRST: usize = 1 << 20;

/// The levels that zstd has; 0 is its default.
const LEVELS: RangeInclusive<i64> = -131072..=22;

struct Zstd;

impl Transform for Zstd {
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let encoded = inputs.bytes("bytes")?;
        if encoded.is_empty() {
            return Err("port `bytes`: expected a Zstandard frame, got no bytes".into());
        }
        let claim = zstd_kernel::claim(encoded).map_err(refused)?;
        inputs.end("bytes", claim.encoded)?;
        let encoded = &encoded[..claim.encoded];
        let bound = usize::try_from(claim.decoded).unwrap_or(usize::MAX);
        let first = match claim.is_exact {
            true => bound,
            false => encoded.len().saturating_mul(RATIO_FIRST).max(ROOM_FIRST).min(bound),
        };
        let mut output = outputs.begin("bytes", first)?;
        let size = loop {
            match zstd_kernel::decompress(encoded, output.spare()) {
                Err(Failure::TOO_LITTLE_ROOM) if output.spare().len() < bound => {
                    output.grow(bound)?;
                }
                result => break result.map_err(refused)?,
            }
        };
        // SAFETY: zstd wrote that many bytes to the spare room.
        unsafe { output.advance(size) };
        Ok(())
    }

    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let decoded = inputs.bytes("bytes")?;
        let level = inputs.clamped_int("level", LEVELS)? as i32;
        let checksum = inputs.bool("checksum")?;
        let mut output = outputs.begin("bytes", zstd_kernel::bound(decoded.len()))?;
        let size = zstd_kernel::compress(level, checksum, decoded, output.spare())?;
        // SAFETY: zstd wrote that many bytes to the spare room.
        unsafe { output.advance(size) };
        Ok(())
    }
}

fn refused(failure: Failure) -> Error {
    if failure.is_out_of_memory() {
        return failure.into();
    }
    Error::new(format_args!("port `bytes`: zstd refuses it: {}", failure.words()))
}

chonkle_codec::export!(Zstd);
