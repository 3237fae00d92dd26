//! The core ABI: a port-map in linear memory in, a port-map in linear memory out.
//!
//! ```text
//! alloc(size) -> address          the host writes the inputs there; 0 when out of memory
//! encode, decode(address, size)   takes and frees the inputs; address << 32 | size of the outputs,
//!                                 which the host frees; 0 is failure
//! dealloc(address, size)          frees what alloc, encode or decode gave
//! last_error() -> address << 32 | size of UTF-8 text, valid until the next call
//! ```

use std::ptr;
use std::slice;

use crate::block::Block;
use crate::error::Error;
use crate::inputs::Inputs;
use crate::outputs::{Kept, Outputs, U32};
use crate::{Run, Single};

struct State {
    error: Option<Error>,
    /// Blocks whose result begins inside of them: results in place stand where the input's data
    /// stood.
    inside: *mut Block,
}

static STATE: Single<State> = Single::new(State { error: None, inside: ptr::null_mut() });

pub fn alloc(size: usize) -> *mut u8 {
    Block::allocate(size).map_or(ptr::null_mut(), ptr::NonNull::as_ptr)
}

/// # Safety
///
/// Nobody uses the memory any more.
pub unsafe fn dealloc(data: *mut u8) {
    // SAFETY: one call at a time; the list holds blocks that were not freed.
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
/// Nobody else uses the memory of the inputs.
pub unsafe fn run(address: *mut u8, size: usize, transform: Run) -> u64 {
    // SAFETY: one call at a time.
    let state = unsafe { STATE.get() };
    // SAFETY: any address may be asked for.
    let block = unsafe { Block::of(address) };
    // SAFETY: a block is valid until it is freed.
    if block.is_none_or(|block| size > unsafe { block.as_ref() }.size()) {
        state.error = Some("the input does not lie in memory that `alloc` gave".into());
        return 0;
    }
    // SAFETY: inside of one block, which is ours until it is freed or handed back.
    let done = unsafe { run_in(address, size, transform) };
    if !matches!(done, Ok(Done::InPlace(..))) {
        // SAFETY: everything that pointed into it is gone.
        unsafe { Block::free(address) };
    }
    state.error = None;
    match done {
        Ok(Done::Block(data, size)) => packed(data, size),
        Ok(Done::InPlace(data, size)) => {
            if data != address {
                // SAFETY: the input's block, which was just checked.
                let block = unsafe { &mut *address.cast::<Block>().sub(1) };
                block.result = data;
                block.next = state.inside;
                state.inside = block;
            }
            packed(data, size)
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

enum Done {
    Block(*mut u8, usize),
    InPlace(*mut u8, usize),
}

unsafe fn run_in(address: *mut u8, size: usize, transform: Run) -> Result<Done, Error> {
    let mut inputs = Inputs::new();
    // SAFETY: the caller's promise.
    unsafe { read(&mut inputs, address, size)? };
    let mut outputs = Outputs::new();
    transform(&mut inputs, &mut outputs)?;
    if let Some(kept) = outputs.kept() {
        // SAFETY: it stands in the input's block, behind the name of its port at least.
        if let Some((data, size)) = unsafe { in_place(address, kept) } {
            return Ok(Done::InPlace(data, size));
        }
        outputs.forget_kept();
        // SAFETY: as before.
        outputs.write_all(kept.name, unsafe { slice::from_raw_parts(kept.data, kept.size) })?;
    }
    if outputs.count() == 0 {
        return Err("the codec gave no output".into());
    }
    let (data, size) = outputs.into_block();
    Ok(Done::Block(data, size))
}

/// Reads a port-map: `u32 count, { u32 name_len, name, u32 data_len, data }*`.
unsafe fn read(inputs: &mut Inputs<'_>, start: *mut u8, size: usize) -> Result<(), Error> {
    let mut at = 0;
    let truncated = |at| Err(Error::new(format_args!("port-map truncated at byte {at} of {size}")));
    // SAFETY: below, nothing beyond `size` is read.
    let length = |at: usize| unsafe { start.add(at).cast::<u32>().read_unaligned() } as usize;
    if size < U32 {
        return truncated(0);
    }
    let count = length(at);
    at += U32;
    for _ in 0..count {
        let mut parts = [(ptr::null_mut(), 0); 2];
        for part in &mut parts {
            if size - at < U32 {
                return truncated(at);
            }
            let part_size = length(at);
            at += U32;
            if size - at < part_size {
                return truncated(at);
            }
            // SAFETY: just checked to lie inside.
            *part = (unsafe { start.add(at) }, part_size);
            at += part_size;
        }
        let [(name, name_size), (data, data_size)] = parts;
        // SAFETY: inside of the block, and no two parts overlap.
        unsafe { inputs.add(slice::from_raw_parts(name, name_size), data, data_size)? };
    }
    if at != size {
        return Err(Error::new(format_args!(
            "{} bytes after the last port of a port-map",
            size - at
        )));
    }
    Ok(())
}

/// Writes the header of a port-map right before data that stands in the input's block already;
/// None where a longer name than the input's leaves no room for it.
unsafe fn in_place(input: *mut u8, kept: Kept) -> Option<(*mut u8, usize)> {
    let header = U32 + U32 + kept.name.len() + U32;
    if kept.data.addr() - input.addr() < header {
        return None;
    }
    // SAFETY: the header ends where the data begins and starts inside of the block.
    unsafe {
        let result = kept.data.sub(header);
        let number = |at: usize, value: usize| {
            result.add(at).cast::<u32>().write_unaligned(value as u32);
        };
        number(0, 1);
        number(U32, kept.name.len());
        result.add(2 * U32).copy_from(kept.name.as_ptr(), kept.name.len());
        number(header - U32, kept.size);
        Some((result, header + kept.size))
    }
}

#[cfg(feature = "core-abi")]
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
