//! Cyclic redundancy checks of 32 bits, reflected, without tables for most of the data.
//!
//! A message is a polynomial over GF(2); its vectors of 128 bits are the coefficients of powers of
//! y = x^128, and its checksum is its remainder modulo P. A multiple of P with few terms in y lets
//! a vector be replaced by sums with later vectors:
//!
//! ```text
//! y^300 = y^155 + y^117 + y^89 + 1  (mod P)         tap:  145  183  211  300
//! ```
//!
//! Each vector is added to those 145, 183, 211 and 300 after it, until only the last 300 are left.
//! A second multiple, with more terms closer together, reduces those further, and a table does the
//! rest. (S. Russell: Chorba: A novel CRC32 implementation, arXiv:2412.16398, does this for 64-bit
//! words. The multiples here come from a search for equal sums among the powers of y.)

use std::arch::wasm32::{u32x4, u32x4_splat, v128, v128_load, v128_store, v128_xor};
use std::array::from_fn;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::slice;

use crate::Checksum;

const VECTOR: usize = 16;
const WORD: usize = 8;
/// Vectors done before those still needed move to the front.
const STEP: usize = 512;
/// Vectors done at once, at most the smallest tap.
const TOGETHER: usize = 2;

type Tables = [[u32; 256]; WORD];

/// A polynomial.
pub trait Polynomial {
    /// The remainder of a byte followed by 0 to 7 zero bytes.
    const TABLES: &'static Tables;

    /// Adds bytes with a multiple of few terms.
    fn add(crc: u32, data: &[u8]) -> u32;

    /// Adds bytes with a multiple of terms that are close together.
    fn add_less(crc: u32, data: &[u8]) -> u32;
}

/// The polynomial of zlib and Ethernet, IEEE 802.3: RFC 1952, section 8.
pub struct Ieee;

impl Polynomial for Ieee {
    const TABLES: &'static Tables = &tables(0xEDB8_8320);

    fn add(crc: u32, data: &[u8]) -> u32 {
        fold::<300, _>([145, 183, 211, 300], crc, data, Self::add_less)
    }

    fn add_less(crc: u32, data: &[u8]) -> u32 {
        fold::<66, _>([9, 29, 34, 47, 48, 63, 64, 66], crc, data, add_bytes::<Self>)
    }
}

/// Castagnoli's polynomial, CRC-32C: RFC 3720, section 12.1.
pub struct Iscsi;

impl Polynomial for Iscsi {
    const TABLES: &'static Tables = &tables(0x82F6_3B78);

    fn add(crc: u32, data: &[u8]) -> u32 {
        fold::<209, _>([65, 155, 170, 195, 209], crc, data, Self::add_less)
    }

    fn add_less(crc: u32, data: &[u8]) -> u32 {
        fold::<79, _>([4, 8, 21, 61, 67, 78, 79], crc, data, add_bytes::<Self>)
    }
}

/// The checksum with a polynomial.
pub struct Crc<P>(u32, PhantomData<P>);

impl<P> Default for Crc<P> {
    fn default() -> Self {
        Self(!0, PhantomData)
    }
}

impl<P: Polynomial> Checksum for Crc<P> {
    fn update(&mut self, part: &[u8]) {
        self.0 = P::add(self.0, part);
    }

    fn value(&self) -> u32 {
        !self.0
    }
}

/// Adds vectors to later ones, up to the last `WINDOW`, and calls `go_on` with those and the rest.
///
/// `WINDOW` is the largest tap, at most `STEP`.
#[inline(always)]
fn fold<const WINDOW: usize, const TAPS: usize>(
    taps: [usize; TAPS],
    crc: u32,
    data: &[u8],
    go_on: impl Fn(u32, &[u8]) -> u32,
) -> u32 {
    let (vectors, rest) = data.split_at(data.len() / VECTOR * VECTOR);
    let Some(mut count) = (vectors.len() / VECTOR).checked_sub(2 * WINDOW) else {
        return go_on(crc, data);
    };
    count += WINDOW;
    // The window of earlier sums, then the sums of this step.
    let mut sums = [const { MaybeUninit::<v128>::uninit() }; 2 * STEP];
    let mut left = [const { MaybeUninit::<v128>::uninit() }; WINDOW];
    let zeros = [MaybeUninit::new(u32x4_splat(0)); WINDOW];
    sums[..WINDOW].copy_from_slice(&zeros);
    // One window before the first vector: added to that vector only.
    sums[0].write(u32x4(crc, 0, 0, 0));
    // SAFETY: there are `count + WINDOW` vectors; sums, at most 2 * STEP, are written before they
    // are read, and so is all of `left`.
    let left = unsafe {
        let mut from = vectors.as_ptr().cast();
        while count > 0 {
            let now = count.min(STEP);
            let earlier: *mut v128 = sums.as_mut_ptr().cast();
            add_earlier::<WINDOW, _>(taps, earlier, from, earlier.add(WINDOW), now);
            earlier.copy_from(earlier.add(now), WINDOW);
            from = from.add(now);
            count -= now;
        }
        // The last vectors are not added to others.
        sums[WINDOW..2 * WINDOW].copy_from_slice(&zeros);
        let earlier = sums.as_ptr().cast();
        add_earlier::<WINDOW, _>(taps, earlier, from, left.as_mut_ptr().cast(), WINDOW);
        slice::from_raw_parts(left.as_ptr().cast(), WINDOW * VECTOR)
    };
    go_on(go_on(0, left), rest)
}

/// Writes vectors, each plus the sums one tap before it.
///
/// # Safety
///
/// `from` has `count` vectors, and `to` has room for them. `earlier` has the sums from `WINDOW`
/// before the first to the smallest tap before the last; some of them may be written here.
#[inline(always)]
unsafe fn add_earlier<const WINDOW: usize, const TAPS: usize>(
    taps: [usize; TAPS],
    earlier: *const v128,
    from: *const v128,
    to: *mut v128,
    count: usize,
) {
    let whole = count / TOGETHER * TOGETHER;
    // SAFETY: promised by the caller; no tap is above WINDOW.
    unsafe {
        for i in (0..whole).step_by(TOGETHER) {
            add_some::<WINDOW, _, TOGETHER>(taps, earlier.add(i), from.add(i), to.add(i));
        }
        for i in whole..count {
            add_some::<WINDOW, _, 1>(taps, earlier.add(i), from.add(i), to.add(i));
        }
    }
}

/// The same for `COUNT` vectors, all read before any is written: at most the smallest tap.
#[inline(always)]
unsafe fn add_some<const WINDOW: usize, const TAPS: usize, const COUNT: usize>(
    taps: [usize; TAPS],
    earlier: *const v128,
    from: *const v128,
    to: *mut v128,
) {
    // SAFETY: promised by the caller; no tap is above WINDOW.
    unsafe {
        let mut sums: [v128; COUNT] = from_fn(|i| v128_load(from.add(i)));
        for tap in taps {
            let earlier = earlier.add(WINDOW - tap);
            sums = from_fn(|i| v128_xor(sums[i], v128_load(earlier.add(i))));
        }
        for (i, sum) in sums.into_iter().enumerate() {
            v128_store(to.add(i), sum);
        }
    }
}

fn add_bytes<P: Polynomial>(mut crc: u32, data: &[u8]) -> u32 {
    let words = data.chunks_exact(WORD);
    let rest = words.remainder();
    for word in words {
        let word = word.iter().rfold(0, |word, byte| word << 8 | u64::from(*byte));
        let bytes = (word ^ u64::from(crc)).to_le_bytes();
        crc = (0..WORD).fold(0, |sum, i| sum ^ P::TABLES[WORD - 1 - i][usize::from(bytes[i])]);
    }
    rest.iter().fold(crc, |crc, byte| P::TABLES[0][usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

const fn tables(polynomial: u32) -> Tables {
    let mut tables = [[0; 256]; WORD];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut zeros) = (byte as u32, 0);
        while zeros < WORD {
            let mut bit = 0;
            while bit < 8 {
                crc = crc >> 1 ^ if crc & 1 == 1 { polynomial } else { 0 };
                bit += 1;
            }
            tables[zeros][byte] = crc;
            zeros += 1;
        }
        byte += 1;
    }
    tables
}
