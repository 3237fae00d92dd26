//! LZ4 blocks, with lz4.
//!
//! The crate lz4_flex decodes shuffled data at a third of the speed, and encodes 4 MiB of other
//! data at two thirds.

use std::alloc::{Layout, alloc};
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use chonkle_codec::{Error, Result};

unsafe extern "C" {
    fn LZ4_sizeofState() -> c_int;
    fn LZ4_sizeofStateHC() -> c_int;
    fn lz4_kernel_compress(
        state: *mut c_void,
        input: *const u8,
        output: *mut u8,
        size: c_int,
        room: c_int,
        acceleration: c_int,
    ) -> c_int;
    fn LZ4_compress_HC_extStateHC(
        state: *mut c_void,
        input: *const u8,
        output: *mut u8,
        size: c_int,
        room: c_int,
        level: c_int,
    ) -> c_int;
    fn lz4_kernel_decompress(input: *const u8, output: *mut u8, size: c_int, room: c_int) -> c_int;
}

/// The largest input of a block.
pub const INPUT_MAX: usize = 0x7E00_0000;

/// The bytes of a match's offset, and the least bytes of a match.
const OFFSET: usize = 2;
const MATCH_MIN: usize = 4;

/// The largest ratio: a length takes a byte for each 255.
pub const RATIO_MAX: usize = 255;

/// The largest compressed size of `size` bytes.
pub const fn bound(size: usize) -> usize {
    size + size / 255 + 16
}

thread_local! {
    /// The states of the compressors, allocated on first use. Each call initialises them.
    static STATE: Cell<Option<NonNull<c_void>>> = const { Cell::new(None) };
    static STATE_HC: Cell<Option<NonNull<c_void>>> = const { Cell::new(None) };
}

/// How hard to look for matches.
#[derive(Clone, Copy)]
pub enum Effort {
    /// From 1 to 65537; a higher value is less effort.
    Acceleration(i32),
    /// LZ4 HC: from 1 to 12; a higher value is more effort.
    Level(i32),
}

/// Decompresses a block, which must fill the output; false when it does not.
pub fn decompress(encoded: &[u8], output: &mut [MaybeUninit<u8>]) -> bool {
    let (Ok(size), Ok(room)) = (c_int::try_from(encoded.len()), c_int::try_from(output.len()))
    else {
        return false;
    };
    // SAFETY: the slices are valid for their lengths; output bytes are read only once written.
    let given =
        unsafe { lz4_kernel_decompress(encoded.as_ptr(), output.as_mut_ptr().cast(), size, room) };
    given == room
}

/// Returns the size of the block at the start of `encoded` that holds `size` bytes; None when it ends
/// elsewhere, as at a sequence with a match (LZ4 Block Format Description, "End of block").
pub fn encoded_size(encoded: &[u8], size: usize) -> Option<usize> {
    let (mut at, mut made) = (0, 0_usize);
    loop {
        let token = usize::from(*encoded.get(at)?);
        at += 1;
        let literals = length(encoded, &mut at, token >> 4)?;
        at = at.checked_add(literals)?;
        made = made.checked_add(literals)?;
        if made >= size {
            return (made == size && at <= encoded.len()).then_some(at);
        }
        at += OFFSET;
        made = made.checked_add(length(encoded, &mut at, token & 15)? + MATCH_MIN)?;
    }
}

/// Reads a length of which a token has the first four bits.
fn length(encoded: &[u8], at: &mut usize, first: usize) -> Option<usize> {
    let mut length = first;
    if first == 15 {
        loop {
            let more = *encoded.get(*at)?;
            *at += 1;
            length = length.checked_add(more.into())?;
            if more < 255 {
                break;
            }
        }
    }
    Some(length)
}

/// Compresses to a block and returns its size; None when the room is too small.
///
/// # Errors
///
/// When memory for the state is out.
pub fn compress(
    effort: Effort,
    decoded: &[u8],
    output: &mut [MaybeUninit<u8>],
) -> Result<Option<usize>> {
    let Ok(size) = c_int::try_from(decoded.len()) else { return Ok(None) };
    // More room than the bound is not needed.
    let room = output.len().min(bound(decoded.len())) as c_int;
    let (from, to) = (decoded.as_ptr(), output.as_mut_ptr().cast());
    // SAFETY: the slices are valid for their lengths, and the state has lz4's size.
    let given = unsafe {
        match effort {
            Effort::Acceleration(acceleration) => {
                let state = STATE.get().map_or_else(|| allocate(LZ4_sizeofState()), Ok)?;
                STATE.set(Some(state));
                lz4_kernel_compress(state.as_ptr(), from, to, size, room, acceleration)
            }
            Effort::Level(level) => {
                let state = STATE_HC.get().map_or_else(|| allocate(LZ4_sizeofStateHC()), Ok)?;
                STATE_HC.set(Some(state));
                LZ4_compress_HC_extStateHC(state.as_ptr(), from, to, size, room, level)
            }
        }
    };
    Ok(usize::try_from(given).ok().filter(|&given| given > 0))
}

/// Allocates a state, which is never freed.
fn allocate(size: c_int) -> Result<NonNull<c_void>> {
    let size = size as usize;
    let layout = Layout::from_size_align(size, 16).ok().filter(|layout| layout.size() > 0);
    // SAFETY: the size is not 0.
    let state = layout.and_then(|layout| NonNull::new(unsafe { alloc(layout) }));
    state.map(NonNull::cast).ok_or_else(|| Error::out_of_memory(size))
}
