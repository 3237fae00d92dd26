//! identity: the bytes as they are, the smallest codec there is.

use chonkle_codec::{Inputs, Outputs, Result, Transform};

struct Identity;

impl Transform for Identity {
    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        outputs.hand_back("bytes", inputs.take("bytes")?)
    }

    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        Self::encode(inputs, outputs)
    }
}

chonkle_codec::export!(Identity);
