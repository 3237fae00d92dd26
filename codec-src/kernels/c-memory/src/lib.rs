//! Memory for a C library from Rust's allocator, so that a module has only one allocator.

use std::alloc::{Layout, alloc, dealloc};
use std::ffi::c_void;
use std::ptr;

/// Room before each allocation for its size, which `dealloc` needs; also the alignment, enough for
/// any C type.
const HEADER: usize = 16;

/// Allocates `bytes`; null when memory is out. None is a size that overflowed.
pub fn allocate(bytes: Option<usize>) -> *mut c_void {
    let bytes = bytes.and_then(|bytes| bytes.checked_add(HEADER));
    let layout = bytes.and_then(|bytes| Layout::from_size_align(bytes, HEADER).ok());
    let Some(layout) = layout else { return ptr::null_mut() };
    // SAFETY: with a header, the size is not 0.
    unsafe {
        let block = alloc(layout);
        if block.is_null() {
            return ptr::null_mut();
        }
        block.cast::<usize>().write(layout.size());
        block.add(HEADER).cast()
    }
}

/// Frees memory.
///
/// # Safety
///
/// It came from `allocate` and was not freed, or is null.
pub unsafe fn release(memory: *mut c_void) {
    if memory.is_null() {
        return;
    }
    // SAFETY: `allocate` wrote the size before it.
    unsafe {
        let block = memory.cast::<u8>().sub(HEADER);
        let size = block.cast::<usize>().read();
        dealloc(block, Layout::from_size_align_unchecked(size, HEADER));
    }
}
