//! pcodec: numbers in standalone pcodec files, with pco.

mod chunks;
mod config;
mod memory;
mod pages;

use chonkle_codec::{Inputs, Outputs, Result, Transform};
use half::f16;
use pco::data_types::{Number, NumberType};
use pco::standalone::{FileDecompressor, guarantee};

use chunks::{BAD, read_chunks};
use pages::write_pages;

struct Pcodec;

impl Transform for Pcodec {
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let encoded = inputs.bytes("bytes")?;
        memory::expect(0)?;
        let (file, chunks) = FileDecompressor::new(encoded).map_err(|_| BAD)?;
        let mut output = outputs.begin("bytes", 0)?;
        let kind = file.peek_number_type_or_termination(chunks).map_err(|_| BAD)?;
        let read = match kind {
            // A file without numbers has no type.
            None => read_chunks::<u32>,
            Some(NumberType::U16) => read_chunks::<u16>,
            Some(NumberType::U32) => read_chunks::<u32>,
            Some(NumberType::U64) => read_chunks::<u64>,
            Some(NumberType::I16) => read_chunks::<i16>,
            Some(NumberType::I32) => read_chunks::<i32>,
            Some(NumberType::I64) => read_chunks::<i64>,
            Some(NumberType::F16) => read_chunks::<f16>,
            Some(NumberType::F32) => read_chunks::<f32>,
            Some(NumberType::F64) => read_chunks::<f64>,
            Some(_) => return Err("port `bytes`: numbers of an unsupported type".into()),
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
