//! {{codec_id}}: each byte as its difference to the byte `distance` before it, modulo 256.
//!
//! Both directions change their input in place and hand it back as the output.

use chonkle_codec::{Inputs, Outputs, Result, Transform};

struct Codec;

impl Transform for Codec {
    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let distance = distance(inputs)?;
        let mut bytes = inputs.take("bytes")?;
        // From the end, so that what is subtracted is not changed yet.
        for i in (distance..bytes.len()).rev() {
            bytes[i] = bytes[i].wrapping_sub(bytes[i - distance]);
        }
        outputs.hand_back("bytes", bytes)
    }

    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let distance = distance(inputs)?;
        let mut bytes = inputs.take("bytes")?;
        for i in distance..bytes.len() {
            bytes[i] = bytes[i].wrapping_add(bytes[i - distance]);
        }
        outputs.hand_back("bytes", bytes)
    }
}

fn distance(inputs: &Inputs) -> Result<usize> {
    Ok(inputs.int("distance", 1..=i32::MAX.into())? as usize)
}

chonkle_codec::export!(Codec);
