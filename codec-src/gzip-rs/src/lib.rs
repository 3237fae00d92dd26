//! gzip: DEFLATE (RFC 1951) in members of the gzip format (RFC 1952), with libdeflate.

use chonkle_codec::{Inputs, Outputs, Result, Transform};
use deflate_kernel::{Gzip, decompress, encode};

/// The size of a member's last field, the decoded size modulo 2^32.
const SIZE_BYTES: usize = 4;

struct Codec;

impl Transform for Codec {
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let encoded = inputs.bytes("bytes")?;
        // Most inputs are one member, which ends with its decoded size.
        let expected =
            encoded.last_chunk::<SIZE_BYTES>().map_or(0, |size| u32::from_le_bytes(*size));
        let mut output = outputs.begin("bytes", 0)?;
        let mut used = 0;
        loop {
            used += decompress::<Gzip>(&encoded[used..], &mut output, expected as usize)?;
            // Zeros may pad each member, as on tapes.
            let padding = encoded[used..].iter().take_while(|byte| **byte == 0).count();
            let rest = &encoded[used + padding..];
            if rest.is_empty() {
                return inputs.end("bytes", encoded.len());
            }
            if !Gzip::begins(rest) {
                return inputs.end("bytes", used);
            }
            used += padding;
        }
    }

    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        encode::<Gzip>(inputs, outputs)
    }
}

chonkle_codec::export!(Codec);
