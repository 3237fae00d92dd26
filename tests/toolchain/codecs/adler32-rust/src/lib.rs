//! adler32: the checksum of RFC 1950, section 8, in front of the bytes, little-endian.

use chonkle_codec::{Inputs, Outputs, Result, Transform};

struct Adler32;

impl Transform for Adler32 {
    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let bytes = inputs.bytes("bytes")?;
        let mut output = outputs.begin("bytes", 4 + bytes.len())?;
        output.extend(&checksum(bytes).to_le_bytes())?;
        output.extend(bytes)
    }

    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let mut bytes = inputs.take("bytes")?;
        let (sum, rest) = bytes.split_first_chunk().ok_or("port `bytes`: truncated")?;
        if u32::from_le_bytes(*sum) != checksum(rest) {
            return Err("port `bytes`: wrong checksum".into());
        }
        bytes.drop_front(4);
        outputs.hand_back("bytes", bytes)
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1, 0);
    // So many bytes until a sum may have more than 32 bits.
    for part in bytes.chunks(5552) {
        for &byte in part {
            a += u32::from(byte);
            b += a;
        }
        (a, b) = (a % 65521, b % 65521);
    }
    b << 16 | a
}

chonkle_codec::export!(Adler32);
