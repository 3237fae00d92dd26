//! The memory of liblzma's streams.

use std::alloc::{Layout, alloc, dealloc};
use std::ffi::c_void;
use std::ptr;

/// Room before each allocation for its size, which Rust wants to know again.
const HEADER: usize = 16;

pub extern "C" fn allocate(_opaque: *mut c_void, count: usize, size: usize) -> *mut c_void {
    let size = count.checked_mul(size).and_then(|size| size.checked_add(HEADER));
    let layout = size.and_then(|size| Layout::from_size_align(size, HEADER).ok());
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

/// # Safety
///
/// The memory came from `allocate`, or is null.
pub unsafe extern "C" fn release(_opaque: *mut c_void, memory: *mut c_void) {
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
