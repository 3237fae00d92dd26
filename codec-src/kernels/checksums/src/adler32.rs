//! Adler-32, RFC 1950 section 8, with vectors of 128 bits.

use std::arch::wasm32::{
    i16x8, i32x4_add, i32x4_dot_i16x8, i32x4_extract_lane, i32x4_splat,
    u16x8_extadd_pairwise_u8x16, u16x8_extend_high_u8x16, u16x8_extend_low_u8x16,
    u32x4_extadd_pairwise_u16x8, u32x4_shl, v128, v128_load,
};

use crate::Checksum;

const MODULUS: u32 = 65521;
const ROW_SIZE: usize = 16;
const ROW_BITS: u32 = 4;
/// The most bytes, in whole rows, before sums of 32 bits can overflow; the same as zlib's NMAX.
const PART_SIZE: usize = 5552;

/// The two sums.
pub struct Adler32 {
    plain: u32,
    weighted: u32,
}

impl Default for Adler32 {
    fn default() -> Self {
        Self { plain: 1, weighted: 0 }
    }
}

impl Checksum for Adler32 {
    fn update(&mut self, data: &[u8]) {
        let (mut plain, mut weighted) = (self.plain, self.weighted);
        for part in data.chunks(PART_SIZE) {
            let rows = part.chunks_exact(ROW_SIZE);
            let rest = rows.remainder();
            weighted += plain * (part.len() - rest.len()) as u32;
            let (sum, weighted_sum) = add_rows(rows);
            plain += sum;
            weighted += weighted_sum;
            for byte in rest {
                plain += u32::from(*byte);
                weighted += plain;
            }
            plain %= MODULUS;
            weighted %= MODULUS;
        }
        *self = Self { plain, weighted };
    }

    fn value(&self) -> u32 {
        self.weighted << 16 | self.plain
    }
}

/// Returns the sum of the bytes, and their sum weighted by how many bytes there are to the end.
fn add_rows<'a>(rows: impl Iterator<Item = &'a [u8]>) -> (u32, u32) {
    let (high, low) = (i16x8(16, 15, 14, 13, 12, 11, 10, 9), i16x8(8, 7, 6, 5, 4, 3, 2, 1));
    let zero = i32x4_splat(0);
    // The sum of the rows, the sums of the rows before each row, and the weighted sum of columns.
    let (mut sums, mut before, mut columns) = (zero, zero, zero);
    for row in rows {
        // SAFETY: a row has 16 bytes.
        let bytes = unsafe { v128_load(row.as_ptr().cast()) };
        before = i32x4_add(before, sums);
        let pairs = u16x8_extadd_pairwise_u8x16(bytes);
        sums = i32x4_add(sums, u32x4_extadd_pairwise_u16x8(pairs));
        let first = i32x4_dot_i16x8(u16x8_extend_low_u8x16(bytes), high);
        let second = i32x4_dot_i16x8(u16x8_extend_high_u8x16(bytes), low);
        columns = i32x4_add(columns, i32x4_add(first, second));
    }
    (total(sums), total(i32x4_add(columns, u32x4_shl(before, ROW_BITS))))
}

fn total(v: v128) -> u32 {
    let lanes = [
        i32x4_extract_lane::<0>(v),
        i32x4_extract_lane::<1>(v),
        i32x4_extract_lane::<2>(v),
        i32x4_extract_lane::<3>(v),
    ];
    lanes.into_iter().fold(0u32, |sum, lane| sum.wrapping_add(lane as u32))
}
