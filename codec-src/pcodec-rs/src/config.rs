//! The parameters of encoding, those of numcodecs.

use chonkle_codec::{Inputs, Result};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};

const LEVEL_MAX: u64 = 12;
const ORDER_MAX: u64 = 7;
/// The most numbers of a chunk.
const PAGE_MAX: u64 = 1 << 24;

/// Reads the configuration, and the most numbers of a page, from the ports.
pub fn read(inputs: &Inputs) -> Result<(ChunkConfig, usize)> {
    let level = inputs.uint("level", 0..=LEVEL_MAX)? as usize;
    let mode = match inputs.choice("mode_spec", &["auto", "classic"])? {
        0 => ModeSpec::Auto,
        _ => ModeSpec::Classic,
    };
    inputs.choice("paging_spec", &["equal_pages_up_to"])?;
    let page = inputs.uint("equal_pages_up_to", 1..=u64::MAX)?.min(PAGE_MAX) as usize;
    let config = ChunkConfig::default()
        .with_compression_level(level)
        .with_mode_spec(mode)
        .with_delta_spec(delta(inputs)?);
    Ok((config, page))
}

fn delta(inputs: &Inputs) -> Result<DeltaSpec> {
    let choices = ["auto", "try_consecutive", "try_lookback", "no_op", "none"];
    let choice = inputs.choice("delta_spec", &choices)?;
    if inputs.has("delta_encoding_order") {
        let order = inputs.uint("delta_encoding_order", 0..=ORDER_MAX)? as usize;
        return match choice {
            // In earlier versions, an order without `delta_spec` meant this.
            0 | 1 => Ok(DeltaSpec::TryConsecutive(order)),
            _ => Err("port `delta_encoding_order`: only for `try_consecutive`".into()),
        };
    }
    match choice {
        0 => Ok(DeltaSpec::Auto),
        1 => Err("port `delta_spec`: `try_consecutive` needs `delta_encoding_order`".into()),
        2 => Ok(DeltaSpec::TryLookback),
        _ => Ok(DeltaSpec::NoOp),
    }
}
