//! Checksums of 32 bits with 128-bit vectors, in numcodecs' format: a checksum before or after the
//! data, little-endian, which is verified on decoding.

mod adler32;
mod crc32;
mod fletcher32;

use chonkle_codec::{Error, Inputs, Outputs, Result};

pub use adler32::Adler32;
pub use crc32::{Crc, Ieee, Iscsi};
pub use fletcher32::Fletcher32;

const SIZE: usize = 4;
/// Data are summed and copied in parts of this many bytes, so that they stay in the cache: a
/// multiple of what each checksum sums at once.
const PART_SIZE: usize = 64 << 10;

/// A checksum of bytes in parts.
pub trait Checksum: Default {
    /// Adds bytes. All parts but the last have an even size.
    fn update(&mut self, part: &[u8]);

    /// Returns the checksum of the bytes added.
    fn value(&self) -> u32;
}

/// Returns the checksum of bytes.
pub fn checksum_of<C: Checksum>(data: &[u8]) -> u32 {
    let mut checksum = C::default();
    checksum.update(data);
    checksum.value()
}

/// Where the checksum is.
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

/// Encodes the port `bytes`: adds its checksum.
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

/// Decodes the port `bytes`: verifies and removes its checksum.
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
