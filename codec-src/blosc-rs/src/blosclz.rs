//! BloscLZ: a stream of literals and matches, derived from FastLZ.
//!
//! ```text
//! 000lllll                            l + 1 literal bytes follow
//! mmmddddd [255 ... m] dddddddd       m + 2 bytes from d + 1 bytes before, m from 1; to m = 7, the
//!                                     next bytes are added, up to one below 255
//! mmm11111 [255 ... m] 11111111 d d   the distance is d + 8192, d in two bytes, the high one first
//! ```
//!
//! A stream begins and ends with literals. The compressor is c-blosc's. The decompressor is not:
//! c-blosc's sums up a length before it checks it, and a stream of some megabytes can make that
//! sum overflow.

use std::ffi::c_int;
use std::mem::MaybeUninit;

unsafe extern "C" {
    fn blosclz_compress(
        level: c_int,
        input: *const u8,
        size: c_int,
        output: *mut u8,
        room: c_int,
        is_split: c_int,
    ) -> c_int;
}

const LENGTH_MORE: usize = 7;
const DISTANCE_MORE: usize = 31 << 8 | 255;
const WORD: usize = 8;

/// Decompresses a stream, which must fill the output; false when it does not.
pub fn decompress(stream: &[u8], output: &mut [MaybeUninit<u8>]) -> bool {
    fill(stream, output).is_some_and(|given| given == output.len())
}

fn fill(stream: &[u8], output: &mut [MaybeUninit<u8>]) -> Option<usize> {
    let mut rest = stream.iter().as_slice();
    let mut at = 0;
    // The upper bits of the first byte are a version.
    let mut control = usize::from(take(&mut rest)? & 31);
    loop {
        if control < 32 {
            let (literals, behind) = rest.split_at_checked(control + 1)?;
            let room = output.get_mut(at..at + literals.len())?;
            // SAFETY: both have the length of the literals.
            unsafe {
                room.as_mut_ptr()
                    .cast::<u8>()
                    .copy_from_nonoverlapping(literals.as_ptr(), literals.len())
            };
            at += literals.len();
            rest = behind;
            if rest.is_empty() {
                return Some(at);
            }
        } else {
            let mut length = control >> 5;
            if length == LENGTH_MORE {
                loop {
                    let more = take(&mut rest)?;
                    length = length.checked_add(more.into())?;
                    if more < 255 {
                        break;
                    }
                }
            }
            let mut distance = (control & 31) << 8 | usize::from(take(&mut rest)?);
            if distance == DISTANCE_MORE {
                distance += usize::from(take(&mut rest)?) << 8 | usize::from(take(&mut rest)?);
            }
            at = copy(output, at, distance + 1, length.checked_add(2)?)?;
        }
        control = take(&mut rest)?.into();
    }
}

fn take(rest: &mut &[u8]) -> Option<u8> {
    let (&first, behind) = rest.split_first()?;
    *rest = behind;
    Some(first)
}

/// Copies a match from earlier output; returns its end.
fn copy(
    output: &mut [MaybeUninit<u8>],
    at: usize,
    distance: usize,
    length: usize,
) -> Option<usize> {
    let end = at.checked_add(length).filter(|&end| end <= output.len())?;
    let from = at.checked_sub(distance)?;
    // Words do not overlap; the last one may exceed the match.
    if distance >= WORD && output.len() - end >= WORD {
        for done in (0..length).step_by(WORD) {
            output.copy_within(from + done..from + done + WORD, at + done);
        }
    } else if distance == 1 {
        let byte = output[from];
        output[at..end].fill(byte);
    } else {
        for done in 0..length {
            output[at + done] = output[from + done];
        }
    }
    Some(end)
}

/// Compresses to a stream and returns its size; None when it is not smaller.
pub fn compress(
    level: i32,
    is_split: bool,
    decoded: &[u8],
    output: &mut [MaybeUninit<u8>],
) -> Option<usize> {
    let size = c_int::try_from(decoded.len()).ok()?;
    let room = c_int::try_from(output.len()).ok()?;
    // SAFETY: the slices are valid for their lengths.
    let given = unsafe {
        blosclz_compress(
            level,
            decoded.as_ptr(),
            size,
            output.as_mut_ptr().cast(),
            room,
            is_split.into(),
        )
    };
    usize::try_from(given).ok().filter(|&given| given > 0)
}
