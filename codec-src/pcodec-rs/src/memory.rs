//! The memory that pco needs.
//!
//! pco traps when an allocation fails. So the most that it will need is allocated and freed before:
//! memory never shrinks, so that much stays available. The bounds are computed from what pco
//! allocates, and are larger than what was measured.

use std::hint::black_box;

use chonkle_codec::{Error, Result};
use pco::data_types::Number;
use pco::metadata::{ChunkMeta, DeltaEncoding};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};

/// What every call takes: buffers of a batch, samples, error messages.
const ALWAYS: usize = 64 << 10;

/// A lookback distance.
const LOOKBACK: usize = size_of::<u32>();
/// For each number in the lookback window: a distance, counts and two hash tables.
const LOOKBACK_TABLES: usize = 48;
const LOOKBACK_WINDOW_MOST: usize = 1 << 15;

/// An encoder's bin, with all that is derived from it.
const ENCODER_BIN: usize = 256;
/// The most states of an encoder per bin, times the bytes of a state.
const STATES: usize = 4 * 16;
/// The parts of an encoded number, without its offset: a state and two counts of bits.
const PARTS: usize = 3 * size_of::<u32>();

/// The most bins, and the most states, of a decoder: the header has 14 bits for each.
const DECODER_BINS: usize = 1 << 14;
/// The bytes of a bin and a state, without their numbers.
const DECODER_BIN: usize = 20;
/// Those numbers: the lower bounds of a bin, which may take twice its room, and of a state.
const DECODER_BIN_NUMBERS: usize = 3;
/// Latent variables: distances, numbers, and what a mode splits off.
const VARIABLES: usize = 3;
/// Latent variables with a lookback window.
const VARIABLES_BACK: usize = 2;

/// Makes sure that `size` bytes can be allocated in one piece.
pub fn expect(size: usize) -> Result {
    let size = size.saturating_add(ALWAYS);
    let mut room: Vec<u8> = Vec::new();
    room.try_reserve_exact(size).map_err(|_| Error::out_of_memory(size))?;
    // Keeps the compiler from removing the unused allocation.
    black_box(room.as_mut_ptr());
    Ok(())
}

/// The memory for choosing how to encode `count` numbers, and for the result.
pub fn choosing<T: Number>(count: usize, config: &ChunkConfig) -> usize {
    let number = size_of::<T>();
    let split_off = if matches!(config.mode_spec, ModeSpec::Classic) { 0 } else { number };
    let looks_back = matches!(config.delta_spec, DeltaSpec::Auto | DeltaSpec::TryLookback);
    let lookback = if looks_back { LOOKBACK } else { 0 };
    let tables = if looks_back { count.min(LOOKBACK_WINDOW_MOST) * LOOKBACK_TABLES } else { 0 };
    let bins = (1 << config.compression_level).min(count.saturating_add(STATES));
    // Each variable, and a copy of one at a time, counted twice: other allocations may use a part
    // of the memory that the first copy leaves, so that the second does not fit there.
    let variables = number + split_off + lookback + 2 * number;
    count.saturating_mul(variables).saturating_add(tables + VARIABLES * bins * ENCODER_BIN)
}

/// The memory for writing `count` numbers as chosen.
pub fn writing<T: Number>(count: usize, chosen: &ChunkMeta) -> usize {
    let number = PARTS + size_of::<T>();
    let split_off = if chosen.per_latent_var.secondary.is_some() { number } else { 0 };
    let lookback = if chosen.per_latent_var.delta.is_some() { PARTS + LOOKBACK } else { 0 };
    count.saturating_mul(number + split_off + lookback)
}

/// The memory for reading the metadata of a chunk, with a dictionary of that many numbers.
pub fn reading_metadata<T: Number>(dictionary: usize) -> usize {
    let tables = VARIABLES * DECODER_BINS * (DECODER_BIN + DECODER_BIN_NUMBERS * size_of::<T>());
    dictionary.saturating_mul(size_of::<T>()).saturating_add(tables)
}

/// The memory for reading the numbers of a chunk.
pub fn reading<T: Number>(chunk: &ChunkMeta) -> usize {
    match &chunk.delta_encoding {
        DeltaEncoding::Lookback { config, .. } => {
            let (window, state) = (1 << config.window_n_log, 1 << config.state_n_log);
            VARIABLES_BACK * (2 * window + 4 * state) * size_of::<T>()
        }
        _ => 0,
    }
}
