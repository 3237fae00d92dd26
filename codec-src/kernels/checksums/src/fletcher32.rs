//! The Fletcher-32 of HDF5: sums of 16-bit words and of their sums, modulo 65535.
//!
//! ```text
//! plain     w0 + w1 + w2 + ...                  of big-endian words, a last byte padded with 0
//! weighted  n w0 + (n - 1) w1 + ...
//! ```
//!
//! Modulo 65535, swapping the bytes of a number multiplies it by 256: the swapped sums of
//! little-endian words are those of big-endian words. Zero is 0 when all words are 0, and 65535
//! otherwise.

use std::arch::wasm32::{
    i32x4_add, u32x4_extend_high_u16x8, u32x4_extend_low_u16x8, u32x4_extract_lane, u32x4_shr,
    u32x4_splat, v128, v128_and, v128_load,
};

use crate::Checksum;

const MODULUS: u64 = 0xFFFF;
const ROW_SIZE: usize = 16;
const ROW_WORDS: u64 = 8;
/// The most rows, rounded down, before a folded sum of sums can exceed 32 bits.
const PART_ROWS: usize = 352;

/// The two sums, of little-endian words.
#[derive(Default)]
pub struct Fletcher32 {
    plain: u64,
    weighted: u64,
}

impl Checksum for Fletcher32 {
    fn update(&mut self, data: &[u8]) {
        for part in data.chunks(PART_ROWS * ROW_SIZE << 8) {
            self.add(part);
        }
    }

    fn value(&self) -> u32 {
        let [plain, weighted] = [self.plain, self.weighted].map(|sum| (sum as u16).swap_bytes());
        u32::from(weighted) << 16 | u32::from(plain)
    }
}

impl Fletcher32 {
    /// Adds bytes, few enough for 64-bit sums.
    fn add(&mut self, part: &[u8]) {
        let (rows, rest) = part.split_at(part.len() / ROW_SIZE * ROW_SIZE);
        let (plain, weighted) = add_rows(rows);
        self.weighted = fold(self.weighted + self.plain * (rows.len() as u64 / 2) + weighted);
        self.plain = fold(self.plain + plain);
        for word in rest.chunks(2) {
            let word = u16::from_le_bytes([word[0], word.get(1).copied().unwrap_or(0)]);
            self.plain += u64::from(word);
            self.weighted += self.plain;
        }
        self.plain = fold(self.plain);
        self.weighted = fold(self.weighted);
    }
}

/// Reduces a sum modulo 65535; only 0 becomes 0.
fn fold(mut sum: u64) -> u64 {
    while sum > MODULUS {
        sum = (sum & MODULUS) + (sum >> 16);
    }
    sum
}

/// Returns the plain and the weighted sum of whole rows, from those of each column.
fn add_rows(rows: &[u8]) -> (u64, u64) {
    let zero = u32x4_splat(0);
    let (mut low, mut high, mut low_sums, mut high_sums) = (zero, zero, zero, zero);
    for part in rows.chunks(PART_ROWS * ROW_SIZE) {
        for row in part.chunks_exact(ROW_SIZE) {
            // SAFETY: a row has 16 bytes.
            let words = unsafe { v128_load(row.as_ptr().cast()) };
            low = i32x4_add(low, u32x4_extend_low_u16x8(words));
            high = i32x4_add(high, u32x4_extend_high_u16x8(words));
            low_sums = i32x4_add(low_sums, low);
            high_sums = i32x4_add(high_sums, high);
        }
        (low, high) = (fold_lanes(low), fold_lanes(high));
        (low_sums, high_sums) = (fold_lanes(low_sums), fold_lanes(high_sums));
    }
    // A word counts ROW_WORDS times for each row from its own to the end, less the column's number.
    let columns = lanes(low).into_iter().chain(lanes(high)).zip(0..);
    let sums = lanes(low_sums).into_iter().chain(lanes(high_sums));
    columns.zip(sums).fold((0, 0), |(plain, weighted), ((column, number), sum)| {
        (plain + column, weighted + sum * ROW_WORDS + column * (MODULUS - number))
    })
}

/// Reduces sums of 32 bits to 17 bits; only 0 becomes 0.
fn fold_lanes(sums: v128) -> v128 {
    i32x4_add(v128_and(sums, u32x4_splat(MODULUS as u32)), u32x4_shr(sums, 16))
}

fn lanes(v: v128) -> [u64; 4] {
    [
        u32x4_extract_lane::<0>(v),
        u32x4_extract_lane::<1>(v),
        u32x4_extract_lane::<2>(v),
        u32x4_extract_lane::<3>(v),
    ]
    .map(u64::from)
}
