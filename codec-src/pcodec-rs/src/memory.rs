//! The memory that pco needs.
//!
//! pco takes it for granted, and not to get it would be a trap. So as much as it will take at most
//! is asked for and given back before: memory never shrinks, what was there once is there again.
//! The bounds follow what pco allocates; they have more than it was ever seen to take.

use std::hint::black_box;

use chonkle_codec::{Error, Result};
use pco::data_types::Number;
use pco::metadata::{ChunkMeta, DeltaEncoding};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};

/// What it takes in any case: buffers of a batch, samples, words of an error.
const ALWAYS: usize = 64 << 10;

/// A distance to look back.
const LOOKBACK: usize = size_of::<u32>();
/// Of each number that is looked at when looking back, a distance, counts and two hash tables.
const LOOKBACK_TABLES: usize = 48;
const LOOKBACK_WINDOW_MOST: usize = 1 << 15;

/// A bin of an encoder, with all that is made of it.
const ENCODER_BIN: usize = 256;
/// States of an encoder for each bin at most, and the bytes of one.
const STATES: usize = 4 * 16;
/// What a number is taken apart into, beside its offset: a state and two counts of bits.
const PARTS: usize = 3 * size_of::<u32>();

/// Bins and states of a decoder at most: so many bits of both has its header.
const DECODER_BINS: usize = 1 << 14;
/// One of each, beside its numbers: the lower bound, where it may take twice its room, and that of
/// a state.
const DECODER_BIN: usize = 20;
const DECODER_BIN_NUMBERS: usize = 3;
/// Latent variables: distances, numbers, and what a mode split off from those.
const VARIABLES: usize = 3;
/// Those that look back, or are looked at.
const VARIABLES_BACK: usize = 2;

/// Makes sure of so many bytes in one piece.
pub fn expect(size: usize) -> Result {
    let size = size.saturating_add(ALWAYS);
    let mut room: Vec<u8> = Vec::new();
    room.try_reserve_exact(size).map_err(|_| Error::out_of_memory(size))?;
    // Otherwise a compiler may leave it out, as nobody uses it.
    black_box(room.as_mut_ptr());
    Ok(())
}

/// What choosing how to encode so many numbers takes, with what stays of it.
pub fn choosing<T: Number>(count: usize, config: &ChunkConfig) -> usize {
    let number = size_of::<T>();
    let split_off = if matches!(config.mode_spec, ModeSpec::Classic) { 0 } else { number };
    let looks_back = matches!(config.delta_spec, DeltaSpec::Auto | DeltaSpec::TryLookback);
    let lookback = if looks_back { LOOKBACK } else { 0 };
    let tables = if looks_back { count.min(LOOKBACK_WINDOW_MOST) * LOOKBACK_TABLES } else { 0 };
    let bins = (1 << config.compression_level).min(count.saturating_add(STATES));
    // Each variable, and a copy of one at a time; what the first copy leaves may have lost a bit of
    // its room to something else, and be too little for the second.
    let variables = number + split_off + lookback + 2 * number;
    count.saturating_mul(variables).saturating_add(tables + VARIABLES * bins * ENCODER_BIN)
}

/// What writing so many numbers takes, when it was chosen how.
pub fn writing<T: Number>(count: usize, chosen: &ChunkMeta) -> usize {
    let number = PARTS + size_of::<T>();
    let split_off = if chosen.per_latent_var.secondary.is_some() { number } else { 0 };
    let lookback = if chosen.per_latent_var.delta.is_some() { PARTS + LOOKBACK } else { 0 };
    count.saturating_mul(number + split_off + lookback)
}

/// What reading the metadata of a chunk takes, with a dictionary of so many numbers.
pub fn reading_metadata<T: Number>(dictionary: usize) -> usize {
    let tables = VARIABLES * DECODER_BINS * (DECODER_BIN + DECODER_BIN_NUMBERS * size_of::<T>());
    dictionary.saturating_mul(size_of::<T>()).saturating_add(tables)
}

/// What reading the numbers of a chunk takes.
pub fn reading<T: Number>(chunk: &ChunkMeta) -> usize {
    match &chunk.delta_encoding {
        DeltaEncoding::Lookback { config, .. } => {
            let (window, state) = (1 << config.window_n_log, 1 << config.state_n_log);
            VARIABLES_BACK * (2 * window + 4 * state) * size_of::<T>()
        }
        _ => 0,
    }
}
