//! The core ABI: a port-map in linear memory in, a port-map in linear memory out.
//!
//! ```text
//! alloc(size)                     returns an address for the inputs, 0 when memory is out
//! encode, decode(address, size)   frees the inputs; returns address << 32 | size of the outputs,
//!                                 which the host frees, or 0 on failure
//! dealloc(address, size)          frees memory from alloc, encode or decode
//! last_error()                    returns address << 32 | size of UTF-8 text, valid until the next
//!                                 call
//! ```

use std::ptr;
use std::slice;

use crate::block::Block;
use crate::error::{Error, error};
use crate::inputs::Inputs;
use crate::outputs::{Kept, Outputs, U32};
use crate::{Result, Run, Single};

struct State {
    error: Option<Error>,
    /// Blocks with a result in place, which begins where the input's data was.
    inside: *mut Block,
}

static STATE: Single<State> = Single::new(State { error: None, inside: ptr::null_mut() });

pub fn alloc(size: usize) -> *mut u8 {
    Block::allocate(size).map_or(ptr::null_mut(), ptr::NonNull::as_ptr)
}

/// # Safety
///
/// The memory is not used afterwards.
pub unsafe fn dealloc(data: *mut u8) {
    // SAFETY: one call at a time; the blocks in the list are not freed.
    unsafe {
        let mut link: *mut *mut Block = &mut STATE.get().inside;
        while let Some(block) = (*link).as_mut() {
            if block.result == data {
                *link = block.next;
                Block::free(ptr::from_mut(block).add(1).cast());
                return;
            }
            link = &mut block.next;
        }
        Block::free(data);
    }
}

pub fn last_error() -> u64 {
    // SAFETY: one call at a time.
    match unsafe { &STATE.get().error } {
        Some(error) => packed(error.as_str().as_ptr(), error.as_str().len()),
        None => 0,
    }
}

/// # Safety
///
/// The memory of the inputs is not used in other ways.
pub unsafe fn run(input: *mut u8, size: usize, transform: Run) -> u64 {
    // SAFETY: `of` takes any address; a block is valid until it is freed.
    let is_inside = unsafe { Block::of(input).is_some_and(|block| size <= block.as_ref().size()) };
    let done = if is_inside {
        // SAFETY: inside one block, which this call owns until it frees it or returns it.
        unsafe { run_in(input, size, transform) }
    } else {
        Err("the input does not lie in memory that `alloc` gave".into())
    };
    // SAFETY: one call at a time.
    let state = unsafe { STATE.get() };
    let is_in_place = done.as_ref().is_ok_and(|done| done.is_in_place);
    if is_inside && !is_in_place {
        // SAFETY: no reference into it is left.
        unsafe { Block::free(input) };
    }
    match done {
        Ok(done) => {
            if is_in_place && done.data != input {
                // SAFETY: the input's block, checked above.
                let block = unsafe { &mut *input.cast::<Block>().sub(1) };
                block.result = done.data;
                block.next = state.inside;
                state.inside = block;
            }
            state.error = None;
            packed(done.data, done.size)
        }
        Err(error) => {
            state.error = Some(error);
            0
        }
    }
}

fn packed(data: *const u8, size: usize) -> u64 {
    (data.addr() as u64) << 32 | size as u64
}

/// An encoded port-map.
struct Done {
    data: *mut u8,
    size: usize,
    /// Whether it is in the input's block.
    is_in_place: bool,
}

unsafe fn run_in(input: *mut u8, size: usize, transform: Run) -> Result<Done> {
    let mut inputs = Inputs::new();
    // SAFETY: the caller's promise.
    unsafe { read(&mut inputs, input, size)? };
    let mut outputs = Outputs::new();
    transform(&mut inputs, &mut outputs)?;
    if let Some(kept) = outputs.kept() {
        // SAFETY: it is in the input's block.
        return unsafe { result_in_place(input, kept) };
    }
    if outputs.count() == 0 {
        return Err("the codec gave no output".into());
    }
    let (data, size) = outputs.into_block();
    Ok(Done { data, size, is_in_place: false })
}

/// Reads a port-map: `u32 count, { u32 name_len, name, u32 data_len, data }*`.
unsafe fn read(inputs: &mut Inputs<'_>, start: *mut u8, size: usize) -> Result {
    let mut at = 0;
    let mut name: &[u8] = &[];
    // The count, then two parts for each port, each preceded by its size.
    let mut parts = 1;
    let mut part = 0u64;
    while part < parts {
        let left = size - at;
        if left < U32 {
            return Err(truncated(at, size));
        }
        // SAFETY: `left` bytes begin there.
        let data = unsafe { start.add(at) };
        // SAFETY: as above.
        let part_size = unsafe { data.cast::<u32>().read_unaligned() } as usize;
        at += U32;
        if part == 0 {
            parts += 2 * part_size as u64;
        } else if part_size > left - U32 {
            return Err(truncated(at, size));
        } else {
            // SAFETY: inside the block, and parts do not overlap.
            unsafe {
                let data = data.add(U32);
                if part % 2 == 1 {
                    name = slice::from_raw_parts(data, part_size);
                } else {
                    inputs.add(name, data, part_size)?;
                }
            }
            at += part_size;
        }
        part += 1;
    }
    match size - at {
        0 => Ok(()),
        rest => Err(error!(rest, " bytes after the last port of a port-map")),
    }
}

fn truncated(at: usize, size: usize) -> Error {
    error!("port-map truncated at byte ", at, " of ", size)
}

/// Writes a port-map's header right before data that is in the input's block.
unsafe fn result_in_place(input: *mut u8, kept: Kept) -> Result<Done> {
    let header = U32 + U32 + kept.name.len() + U32;
    let size = header + kept.size;
    let is_in_place = kept.data.addr() - input.addr() >= header;
    // SAFETY: the header ends where the data begins, in the input's block or, when the output's
    // name is longer than the input's, in a new one.
    unsafe {
        let data = if is_in_place {
            kept.data.sub(header)
        } else {
            let made = Block::allocate(size).ok_or_else(|| Error::out_of_memory(size))?.as_ptr();
            made.add(header).copy_from_nonoverlapping(kept.data, kept.size);
            made
        };
        let number = |at: usize, value: usize| {
            data.add(at).cast::<u32>().write_unaligned(value as u32);
        };
        number(0, 1);
        number(U32, kept.name.len());
        data.add(2 * U32).copy_from(kept.name.as_ptr(), kept.name.len());
        number(header - U32, kept.size);
        Ok(Done { data, size, is_in_place })
    }
}

#[macro_export]
#[doc(hidden)]
macro_rules! export_core_abi {
    ($codec:ty) => {
        const _: () = {
            #[unsafe(export_name = "alloc")]
            extern "C" fn alloc(size: usize) -> *mut u8 {
                $crate::core_abi::alloc(size)
            }

            #[unsafe(export_name = "dealloc")]
            unsafe extern "C" fn dealloc(data: *mut u8, _size: usize) {
                unsafe { $crate::core_abi::dealloc(data) }
            }

            #[unsafe(export_name = "last_error")]
            extern "C" fn last_error() -> u64 {
                $crate::core_abi::last_error()
            }

            #[unsafe(export_name = "encode")]
            unsafe extern "C" fn encode(data: *mut u8, size: usize) -> u64 {
                unsafe { $crate::core_abi::run(data, size, <$codec as $crate::Transform>::encode) }
            }

            #[unsafe(export_name = "decode")]
            unsafe extern "C" fn decode(data: *mut u8, size: usize) -> u64 {
                unsafe { $crate::core_abi::run(data, size, <$codec as $crate::Transform>::decode) }
            }
        };
    };
}
