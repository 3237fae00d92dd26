//! Checksums of 32 bits with vectors of 128 bits, and what numcodecs does with them: it writes one
//! before the data or behind them, little-endian, and verifies it on decoding.

mod adler32;
mod crc32;
mod fletcher32;

use chonkle_codec::{Error, Inputs, Outputs, Result};

pub use adler32::Adler32;
pub use crc32::{Crc, Ieee, Iscsi};
pub use fletcher32::Fletcher32;

const SIZE: usize = 4;
/// Data are copied and summed in parts of so many bytes, so that summing finds them in the cache.
/// A multiple of what every checksum wants to have together.
const PART_SIZE: usize = 64 << 10;

/// A checksum of bytes that come in parts.
pub trait Checksum: Default {
    /// Adds bytes. All parts but the last have an even size.
    fn update(&mut self, part: &[u8]);

    /// Gives the checksum of what was added.
    fn value(&self) -> u32;
}

/// Gives the checksum of bytes that are there.
pub fn checksum_of<C: Checksum>(data: &[u8]) -> u32 {
    let mut checksum = C::default();
    checksum.update(data);
    checksum.value()
}

/// Where the checksum stands.
#[derive(Clone, Copy)]
pub enum Location {
    Start,
    End,
}

impl Location {
    /// Reads the port `location`.
    pub fn of(inputs: &Inputs) -> Result<Self> {
        Ok([Self::Start, Self::End][inputs.choice("location", &["start", "end"])?])
    }
}

/// Encodes the port `bytes`: gives it with its checksum.
pub fn encode<C: Checksum>(
    location: Location,
    inputs: &mut Inputs,
    outputs: &mut Outputs,
) -> Result {
    let data = inputs.bytes("bytes")?;
    let mut output = outputs.begin("bytes", SIZE + data.len())?;
    let mut checksum = C::default();
    if let Location::Start = location {
        output.extend(&[0; SIZE])?;
    }
    for part in data.chunks(PART_SIZE) {
        checksum.update(part);
        output.extend(part)?;
    }
    let value = checksum.value().to_le_bytes();
    match location {
        Location::Start => output.as_mut_slice()[..SIZE].copy_from_slice(&value),
        Location::End => output.extend(&value)?,
    }
    Ok(())
}

/// Decodes the port `bytes`: gives it without its checksum when that is right.
pub fn decode<C: Checksum>(
    location: Location,
    inputs: &mut Inputs,
    outputs: &mut Outputs,
) -> Result {
    let mut bytes = inputs.take("bytes")?;
    let halves = match location {
        Location::Start => bytes.split_first_chunk(),
        Location::End => bytes.split_last_chunk().map(|(data, value)| (value, data)),
    };
    let (value, data) = halves.ok_or("port `bytes`: truncated, no checksum of 4 bytes")?;
    let (stored, computed) = (u32::from_le_bytes(*value), checksum_of::<C>(data));
    if stored != computed {
        return Err(Error::new(format_args!(
            "port `bytes`: wrong checksum, expected {stored:08x}, got {computed:08x}"
        )));
    }
    match location {
        Location::Start => bytes.drop_front(SIZE),
        Location::End => bytes.truncate(bytes.len() - SIZE),
    }
    outputs.hand_back("bytes", bytes)
}
