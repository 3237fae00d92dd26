//! pcodec: numbers in standalone pcodec files, with pco.

mod chunks;
mod config;
mod memory;
mod pages;

use chonkle_codec::{Inputs, Output, Outputs, Result, Transform};
use half::f16;
use pco::data_types::{Number, NumberType};
use pco::metadata::FormatVersion;
use pco::standalone::{FileDecompressor, guarantee};

use chunks::{BAD, read_chunks};
use pages::write_pages;

struct Pcodec;

type Read = fn(&FormatVersion, &[u8], &mut Output) -> Result<usize>;

impl Transform for Pcodec {
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let encoded = inputs.bytes("bytes")?;
        memory::expect(0)?;
        let (file, chunks) = FileDecompressor::new(encoded).map_err(|_| BAD)?;
        let mut output = outputs.begin("bytes", 0)?;
        let kind = file.peek_number_type_or_termination(chunks).map_err(|_| BAD)?;
        // What reads numbers of a type, its letter and bytes, and an error where it is not expected.
        macro_rules! numbers {
            ($type:ty, $letter:literal) => {
                Some((
                    read_chunks::<$type> as Read,
                    ($letter, size_of::<$type>()),
                    concat!("port `bytes`: expected `expected_dtype`, got ", stringify!($type)),
                ))
            };
        }
        let numbers = match kind {
            // A file without numbers has no type.
            None => None,
            Some(NumberType::U16) => numbers!(u16, b'u'),
            Some(NumberType::U32) => numbers!(u32, b'u'),
            Some(NumberType::U64) => numbers!(u64, b'u'),
            Some(NumberType::I16) => numbers!(i16, b'i'),
            Some(NumberType::I32) => numbers!(i32, b'i'),
            Some(NumberType::I64) => numbers!(i64, b'i'),
            Some(NumberType::F16) => numbers!(f16, b'f'),
            Some(NumberType::F32) => numbers!(f32, b'f'),
            Some(NumberType::F64) => numbers!(f64, b'f'),
            Some(_) => return Err("port `bytes`: numbers of an unsupported type".into()),
        };
        let read = match numbers {
            None => read_chunks::<u32>,
            Some((read, found, other)) => {
                if inputs.has("expected_dtype") {
                    let expected = inputs.dtype("expected_dtype", "iuf")?;
                    if (expected.kind, expected.size) != found {
                        return Err(other.into());
                    }
                }
                read
            }
        };
        let rest = read(file.format_version(), chunks, &mut output)?;
        inputs.end("bytes", encoded.len() - rest)
    }

    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let dtype = inputs.dtype("dtype", "iuf")?;
        if dtype.is_big_endian {
            return Err("port `dtype`: expected little-endian numbers".into());
        }
        match (dtype.kind, dtype.size) {
            (b'u', 2) => encode::<u16>(inputs, outputs),
            (b'u', 4) => encode::<u32>(inputs, outputs),
            (b'u', 8) => encode::<u64>(inputs, outputs),
            (b'i', 2) => encode::<i16>(inputs, outputs),
            (b'i', 4) => encode::<i32>(inputs, outputs),
            (b'i', 8) => encode::<i64>(inputs, outputs),
            (b'f', 2) => encode::<f16>(inputs, outputs),
            (b'f', 4) => encode::<f32>(inputs, outputs),
            (b'f', 8) => encode::<f64>(inputs, outputs),
            _ => Err("port `dtype`: expected numbers of 2, 4 or 8 bytes".into()),
        }
    }
}

/// Encodes numbers of one type.
fn encode<T: Number>(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
    let (config, page_most) = config::read(inputs)?;
    let decoded = inputs.items("bytes", size_of::<T>())?;
    let mut output = outputs.begin("bytes", guarantee::header_size())?;
    write_pages::<T>(decoded, page_most, &config, &mut output)
}

chonkle_codec::export!(Pcodec);
