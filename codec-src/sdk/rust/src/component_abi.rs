//! The canonical ABI of `chonkle:codec/transform@0.1.0`, as the component model lowers it.
//!
//! A port-map is a list of rows. The host allocates each name and data with `cabi_realloc`; they
//! are freed here. A result is valid until the post-return call.

use std::alloc::{Layout, alloc, dealloc};
use std::ptr;
use std::slice;

use crate::block::Block;
use crate::error::Error;
use crate::inputs::Inputs;
use crate::outputs::{Outputs, U32};
use crate::{Result, Run, Single};

#[derive(Clone, Copy)]
#[repr(C)]
pub struct Row {
    name: *mut u8,
    name_size: usize,
    data: *mut u8,
    data_size: usize,
}

/// `result<port-map, string>`, followed by what the post-return call frees.
#[repr(C)]
pub struct Answer {
    failed: u8,
    data: *const u8,
    size: usize,
    /// Blocks: the rows of the result, and the data they point to.
    rows: *mut u8,
    output: *mut u8,
    /// The input that contains the output, and its size.
    kept: (*mut u8, usize),
    error: Option<Error>,
}

static ANSWER: Single<Answer> = Single::new(Answer::empty());

impl Answer {
    const fn empty() -> Self {
        Self {
            failed: 0,
            data: ptr::null(),
            size: 0,
            rows: ptr::null_mut(),
            output: ptr::null_mut(),
            kept: (ptr::null_mut(), 0),
            error: None,
        }
    }
}

/// The alignment of all allocations: what rows need; names and data need less.
const ALIGN: usize = align_of::<Row>();

/// # Safety
///
/// See `realloc` in the canonical ABI.
pub unsafe fn cabi_realloc(old: *mut u8, old_size: usize, align: usize, size: usize) -> *mut u8 {
    if size == 0 {
        return ptr::without_provenance_mut(align);
    }
    let layout = Layout::from_size_align(size, ALIGN);
    // SAFETY: the size is not zero.
    let data = layout.map_or(ptr::null_mut(), |layout| unsafe { alloc(layout) });
    if data.is_null() {
        // The canonical ABI has no failure here: the host would write to address 0.
        core::arch::wasm32::unreachable();
    }
    // SAFETY: both have that many bytes, and the old ones are not used again.
    unsafe {
        data.copy_from_nonoverlapping(old, old_size.min(size));
        release(old, old_size);
    }
    data
}

/// Frees memory from `cabi_realloc`; an empty string or list is not allocated.
unsafe fn release(data: *mut u8, size: usize) {
    if size > 0 {
        // SAFETY: allocated with this size and alignment.
        unsafe { dealloc(data, Layout::from_size_align_unchecked(size, ALIGN)) }
    }
}

/// # Safety
///
/// See exports with a list in the canonical ABI.
pub unsafe fn run(rows: *mut Row, count: usize, transform: Run) -> *mut Answer {
    // SAFETY: one call at a time, with its post-return call.
    let answer = unsafe { ANSWER.get() };
    *answer = Answer::empty();
    let given: &[Row] =
        // SAFETY: a list of `count` rows; an empty list is not allocated.
        if count == 0 { &[] } else { unsafe { slice::from_raw_parts(rows, count) } };
    // SAFETY: this call owns the rows until it releases them below.
    if let Err(error) = unsafe { run_in(given, transform, answer) } {
        answer.failed = 1;
        let text = answer.error.insert(error).as_str();
        (answer.data, answer.size) = (text.as_ptr(), text.len());
    }
    for row in given {
        // SAFETY: the host allocated it for this call, and it is not used again, except for the
        // input that contains the output.
        unsafe {
            release(row.name, row.name_size);
            if answer.kept.0 != row.data {
                release(row.data, row.data_size);
            }
        }
    }
    // SAFETY: as above.
    unsafe { release(rows.cast(), size_of_val(given)) };
    answer
}

/// Runs a transform; on failure, the answer is unchanged.
unsafe fn run_in(given: &[Row], transform: Run, answer: &mut Answer) -> Result {
    let mut inputs = Inputs::new();
    for row in given {
        // SAFETY: the host's allocations, none of which overlap.
        unsafe {
            let name = slice::from_raw_parts(not_null(row.name), row.name_size);
            inputs.add(name, not_null(row.data), row.data_size)?;
        }
    }
    let mut outputs = Outputs::new();
    transform(&mut inputs, &mut outputs)?;
    let count = outputs.count();
    if count == 0 {
        return Err("the codec gave no output".into());
    }
    let size = count * size_of::<Row>();
    let rows = Block::allocate(size).ok_or_else(|| Error::out_of_memory(size))?.cast::<Row>();
    answer.rows = rows.as_ptr().cast();
    (answer.data, answer.size) = (answer.rows, count);
    if let Some(kept) = outputs.kept() {
        let (name, name_size) = (kept.name.as_ptr().cast_mut(), kept.name.len());
        // SAFETY: the block has room for a row.
        unsafe { rows.write(Row { name, name_size, data: kept.data, data_size: kept.size }) };
        // The allocation may be larger than the output.
        let size = given.iter().find(|row| row.data == kept.start).map_or(0, |row| row.data_size);
        if size > 0 {
            answer.kept = (kept.start, size);
        }
    } else {
        (answer.output, _) = outputs.into_block();
        // SAFETY: an encoded port-map with `count` entries, and room for as many rows.
        unsafe { point_into(answer.output, count, rows.as_ptr()) };
    }
    Ok(())
}

/// An empty list may have any address; that of a slice is not 0.
fn not_null(data: *mut u8) -> *mut u8 {
    if data.is_null() { ptr::dangling_mut() } else { data }
}

/// Makes a row for each entry of an encoded port-map.
unsafe fn point_into(block: *mut u8, count: usize, rows: *mut Row) {
    let mut at = U32;
    let mut part = || {
        // SAFETY: `Outputs` wrote a complete port-map.
        unsafe {
            let size = block.add(at).cast::<u32>().read_unaligned() as usize;
            let data = block.add(at + U32);
            at += U32 + size;
            (data, size)
        }
    };
    for index in 0..count {
        let (name, name_size) = part();
        let (data, data_size) = part();
        // SAFETY: the caller's promise.
        unsafe { rows.add(index).write(Row { name, name_size, data, data_size }) };
    }
}

/// # Safety
///
/// The host has read the answer.
pub unsafe fn finish() {
    // SAFETY: one call at a time.
    let answer = unsafe { ANSWER.get() };
    // SAFETY: allocated for this answer.
    unsafe {
        Block::free(answer.rows);
        Block::free(answer.output);
        release(answer.kept.0, answer.kept.1);
    }
    *answer = Answer::empty();
}

#[macro_export]
#[doc(hidden)]
macro_rules! export_component_abi {
    ($codec:ty) => {
        const _: () = {
            use $crate::component_abi::{Answer, Row};

            #[unsafe(export_name = "cabi_realloc")]
            unsafe extern "C" fn cabi_realloc(
                old: *mut u8,
                old_size: usize,
                align: usize,
                size: usize,
            ) -> *mut u8 {
                unsafe { $crate::component_abi::cabi_realloc(old, old_size, align, size) }
            }

            #[unsafe(export_name = "chonkle:codec/transform@0.1.0#encode")]
            unsafe extern "C" fn encode(rows: *mut Row, count: usize) -> *mut Answer {
                unsafe {
                    $crate::component_abi::run(rows, count, <$codec as $crate::Transform>::encode)
                }
            }

            #[unsafe(export_name = "chonkle:codec/transform@0.1.0#decode")]
            unsafe extern "C" fn decode(rows: *mut Row, count: usize) -> *mut Answer {
                unsafe {
                    $crate::component_abi::run(rows, count, <$codec as $crate::Transform>::decode)
                }
            }

            #[unsafe(export_name = "cabi_post_chonkle:codec/transform@0.1.0#encode")]
            unsafe extern "C" fn post_encode(_answer: *mut Answer) {
                unsafe { $crate::component_abi::finish() }
            }

            #[unsafe(export_name = "cabi_post_chonkle:codec/transform@0.1.0#decode")]
            unsafe extern "C" fn post_decode(_answer: *mut Answer) {
                unsafe { $crate::component_abi::finish() }
            }
        };
    };
}
