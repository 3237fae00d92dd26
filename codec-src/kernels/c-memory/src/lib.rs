//! Memory for a library in C, from Rust's allocator, so that a module has only one.
//!
//! Each library has its own idea of how to ask; what they pass on to is this.

use std::alloc::{Layout, alloc, dealloc};
use std::ffi::c_void;
use std::ptr;

/// Room before each allocation for its size, which Rust wants to know again; and what all are
/// aligned to, which is enough for any type of C.
const HEADER: usize = 16;

/// Gives that many bytes, or null where they cannot be had; None is more than can be counted.
pub fn allocate(bytes: Option<usize>) -> *mut c_void {
    let bytes = bytes.and_then(|bytes| bytes.checked_add(HEADER));
    let layout = bytes.and_then(|bytes| Layout::from_size_align(bytes, HEADER).ok());
    let Some(layout) = layout else { return ptr::null_mut() };
    // SAFETY: not of size 0, as it has a header.
    unsafe {
        let block = alloc(layout);
        if block.is_null() {
            return ptr::null_mut();
        }
        block.cast::<usize>().write(layout.size());
        block.add(HEADER).cast()
    }
}

/// Takes it back.
///
/// # Safety
///
/// The memory came from `allocate` and was not given back yet, or is null.
pub unsafe fn release(memory: *mut c_void) {
    if memory.is_null() {
        return;
    }
    // SAFETY: `allocate` wrote the size in front.
    unsafe {
        let block = memory.cast::<u8>().sub(HEADER);
        let size = block.cast::<usize>().read();
        dealloc(block, Layout::from_size_align_unchecked(size, HEADER));
    }
}
