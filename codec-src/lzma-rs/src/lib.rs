//! lzma: xz, LZMA-alone and raw LZMA streams, with liblzma.

mod begin;
mod filters;
mod liblzma;
mod size;

use std::cell::Cell;

use chonkle_codec::{Inputs, Outputs, Result, Transform};

use filters::Filter;
use liblzma::Container;

const CONTAINERS: [Container; 4] =
    [Container::Auto, Container::Xz, Container::Alone, Container::Raw];

const CHECK_DEFAULT: i64 = -1;
const CHECK_NONE: i64 = 0;
const CHECK_CRC64: i64 = 4;
const PRESET_DEFAULT: u32 = 6;
const PRESET_MOST: u32 = 9;
const PRESET_EXTREME: u32 = 1 << 31;

/// The least first room, as a multiple of the encoded size.
const RATIO_FIRST: usize = 4;
/// The most, where the size of the last output is the guess.
const RATIO_GUESSED: usize = 256;
/// liblzma's smallest dictionary.
const DICTIONARY_LEAST: u32 = 4096;

thread_local! {
    /// The size of the last output, as the chunks of an array mostly have one size.
    static LAST_SIZE: Cell<usize> = const { Cell::new(0) };
}

struct Lzma;

impl Transform for Lzma {
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let container = CONTAINERS[inputs.int("format", 0..=3)? as usize];
        let filters = match (chain(inputs)?, container) {
            (Some(filters), Container::Raw) => filters,
            (None, Container::Raw) => return Err(RAW_NEEDS_FILTERS.into()),
            // Other containers record their filters.
            _ => Vec::new(),
        };
        let encoded = inputs.bytes("bytes")?;
        let sized = |ratio: usize| encoded.len().saturating_mul(ratio);
        let expected = size::claimed(container, encoded)
            .unwrap_or_else(|| LAST_SIZE.get().clamp(sized(RATIO_FIRST), sized(RATIO_GUESSED)));
        let mut output = outputs.begin("bytes", 0)?;
        output.reserve(expected).or_else(|_| output.reserve(encoded.len()))?;
        let (mut rest, mut used) = (encoded, 0);
        loop {
            let (is_marked, before) = (begin::is_xz(container, rest), output.len());
            match liblzma::decode(container, &filters, rest, &mut output) {
                Ok(behind) => rest = behind,
                // A further stream without a mark of its begin may be anything.
                Err(failure) if used > 0 && !is_marked && failure.is_bad_data() => {
                    output.truncate(before);
                    break;
                }
                Err(failure) => return Err(failure.into()),
            }
            used = encoded.len() - rest.len();
            rest = begin::without_padding(container, rest);
            if rest.is_empty() {
                used = encoded.len();
            }
            if !begin::is_possible(container, rest) {
                break;
            }
        }
        LAST_SIZE.set(output.len());
        inputs.end("bytes", used)
    }

    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let container = CONTAINERS[inputs.int("format", 1..=3)? as usize];
        let check = match inputs.int("check", -1..=15)? {
            CHECK_DEFAULT if container == Container::Xz => CHECK_CRC64,
            CHECK_DEFAULT => CHECK_NONE,
            check if check != CHECK_NONE && container != Container::Xz => {
                return Err("port `check`: only xz, which is `format` 1, has checks".into());
            }
            check => check,
        };
        let filters = match (chain(inputs)?, container) {
            (Some(_), _) if inputs.has("preset") => {
                return Err("port `preset`: a preset and filters exclude each other".into());
            }
            (Some(filters), _) => filters,
            (None, Container::Raw) => return Err(RAW_NEEDS_FILTERS.into()),
            (None, Container::Xz) => vec![Filter::of_preset(filters::LZMA2, preset(inputs)?)],
            (None, _) => vec![Filter::of_preset(filters::LZMA1, preset(inputs)?)],
        };
        if !filters.iter().all(|filter| filter.is_common(container == Container::Xz)) {
            return Err(NOT_COMMON.into());
        }
        let decoded = inputs.bytes("bytes")?;
        let mut output = outputs.begin("bytes", 0)?;
        output.reserve(bound(decoded.len()))?;
        let most = u32::try_from(decoded.len()).unwrap_or(u32::MAX).max(DICTIONARY_LEAST);
        liblzma::encode(container, check as i32, &filters, most, decoded, &mut output)
    }
}

const RAW_NEEDS_FILTERS: &str = "port `filters`: missing, raw data need them";

const NOT_COMMON: &str =
    "port `filters`: 10, ARM64, is encoded only in xz and 11, RISC-V, never: Python has them not";

/// Reads the chain of filters, if there is one.
fn chain(inputs: &Inputs) -> Result<Option<Vec<Filter>>> {
    inputs.has("filters").then(|| filters::parse(&inputs.string("filters")?)).transpose()
}

fn preset(inputs: &Inputs) -> Result<u32> {
    if !inputs.has("preset") {
        return Ok(PRESET_DEFAULT);
    }
    let preset = inputs.uint("preset", 0..=(PRESET_EXTREME + PRESET_MOST).into())? as u32;
    if preset & !PRESET_EXTREME > PRESET_MOST {
        return Err(
            "port `preset`: expected 0 to 9, or 2147483648 more for the extreme ones".into()
        );
    }
    Ok(preset)
}

/// The largest encoded size, except for noise in LZMA-alone and raw LZMA.
fn bound(size: usize) -> usize {
    size.saturating_add(size / 1000 + 1000)
}

chonkle_codec::export!(Lzma);
