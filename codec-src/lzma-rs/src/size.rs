//! The decoded size that a stream records.

use crate::liblzma::Container;

/// The largest ratio: a match of 273 bytes takes 14 decisions of at least 0.022 bits.
const RATIO_MOST: usize = 7200;

/// The bytes of an xz footer, and of header and footer.
const FOOTER: usize = 12;
const ENDS: u64 = 24;

/// Returns the decoded size that an input records; None when it records none or an impossible one.
pub fn claimed(container: Container, encoded: &[u8]) -> Option<usize> {
    let claim = match container {
        Container::Raw => None,
        Container::Alone => alone(encoded),
        Container::Xz => xz(encoded),
        Container::Auto => xz(encoded).or_else(|| alone(encoded)),
    };
    usize::try_from(claim?).ok().filter(|claim| *claim <= encoded.len().saturating_mul(RATIO_MOST))
}

/// Reads the header of LZMA-alone: a byte of properties, the dictionary's size, the decoded size.
fn alone(encoded: &[u8]) -> Option<u64> {
    let size = encoded.get(5..13)?;
    Some(u64::from_le_bytes(size.try_into().ok()?))
}

/// Reads the index at the end of an xz file with a single stream (The .xz File Format 1.2.1,
/// sections 2.1.2 and 4).
fn xz(encoded: &[u8]) -> Option<u64> {
    let footer_at = encoded.len().checked_sub(FOOTER)?;
    let (rest, footer) = encoded.split_at(footer_at);
    let backward: [u8; 4] = footer.strip_suffix(b"YZ")?.get(4..8)?.try_into().ok()?;
    let index_size = (u64::from(u32::from_le_bytes(backward)) + 1) * 4;
    let index_at = rest.len().checked_sub(usize::try_from(index_size).ok()?)?;
    let mut index = rest[index_at..].strip_prefix(&[0])?;
    let (mut blocks, mut decoded) = (0_u64, 0_u64);
    for _ in 0..number(&mut index)? {
        blocks = blocks.checked_add(number(&mut index)?.checked_next_multiple_of(4)?)?;
        decoded = decoded.checked_add(number(&mut index)?)?;
    }
    let whole = ENDS.checked_add(index_size)?.checked_add(blocks)?;
    (whole == encoded.len() as u64).then_some(decoded)
}

/// Reads a number with seven bits in each byte, the least significant first.
fn number(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
