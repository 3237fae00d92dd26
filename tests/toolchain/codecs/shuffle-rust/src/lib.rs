//! shuffle: the first bytes of all elements, then the second bytes, and so on.

use chonkle_codec::{Inputs, Outputs, Result, Transform};

struct Shuffle;

impl Transform for Shuffle {
    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        shuffle(inputs, outputs, |count, size, index| (index % count) * size + index / count)
    }

    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        shuffle(inputs, outputs, |count, size, index| (index % size) * count + index / size)
    }
}

/// `from` gives where a byte of the output stands in the input.
fn shuffle(
    inputs: &Inputs,
    outputs: &mut Outputs,
    from: fn(usize, usize, usize) -> usize,
) -> Result {
    let size = inputs.uint("elementsize", 1..=255)? as usize;
    let bytes = inputs.items("bytes", size)?;
    let to = outputs.zeroed("bytes", bytes.len())?;
    for (index, byte) in to.iter_mut().enumerate() {
        *byte = bytes[from(bytes.len() / size, size, index)];
    }
    Ok(())
}

chonkle_codec::export!(Shuffle);
