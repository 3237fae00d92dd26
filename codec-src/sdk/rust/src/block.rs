//! Memory that is exchanged with the host.
//!
//! ```text
//! +0 u32 mark    +4 u32 size    +8 u32 next    +12 u32 result    +16 data
//! ```
//!
//! The mark identifies a block: a host that frees another address leaks memory and corrupts none.
//! `next` and `result` are for the core ABI: a list of results that begin inside a block.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::ptr::{self, NonNull};

#[repr(C)]
pub(crate) struct Block {
    mark: u32,
    size: u32,
    pub next: *mut Block,
    pub result: *mut u8,
}

const MARK: u32 = u32::from_le_bytes(*b"chnk");
const HEADER: usize = size_of::<Block>();
/// The allocator's own alignment; with a larger one, it would copy a block that grows.
const ALIGN: usize = align_of::<Block>();

impl Block {
    fn layout(size: usize) -> Option<Layout> {
        Layout::from_size_align(HEADER.checked_add(size)?, ALIGN).ok()
    }

    /// Allocates `size` bytes, uninitialised; None when memory is out.
    pub fn allocate(size: usize) -> Option<NonNull<u8>> {
        let layout = Self::layout(size)?;
        let stored = u32::try_from(size).ok()?;
        // SAFETY: with a header, the size is not 0.
        let block = NonNull::new(unsafe { alloc(layout) })?.cast::<Block>();
        let header =
            Self { mark: MARK, size: stored, next: ptr::null_mut(), result: ptr::null_mut() };
        // SAFETY: allocated above, aligned, with room for a header and `size` bytes.
        unsafe {
            block.write(header);
            Some(block.add(1).cast())
        }
    }

    /// Resizes a block and keeps its bytes; None when memory is out.
    ///
    /// # Safety
    ///
    /// `data` came from this module and was not freed, or is null.
    pub unsafe fn resize(data: *mut u8, size: usize) -> Option<NonNull<u8>> {
        let Some(data) = NonNull::new(data) else { return Self::allocate(size) };
        let new = Self::layout(size)?;
        let stored = u32::try_from(size).ok()?;
        // SAFETY: the caller's promise; the old layout is that of the allocation.
        unsafe {
            let block = data.cast::<Block>().sub(1);
            let old = Self::layout(block.as_ref().size as usize)?;
            let mut moved =
                NonNull::new(realloc(block.as_ptr().cast(), old, new.size()))?.cast::<Block>();
            moved.as_mut().size = stored;
            Some(moved.add(1).cast())
        }
    }

    /// Finds the block whose data begins at an address; None when there is none.
    ///
    /// # Safety
    ///
    /// Memory before `data` is readable, or `data` is null or outside of memory.
    pub unsafe fn of(data: *mut u8) -> Option<NonNull<Self>> {
        let address = data.addr();
        if address < HEADER || !address.is_multiple_of(ALIGN) || !is_inside(address) {
            return None;
        }
        let block = NonNull::new(data.cast::<Self>().wrapping_sub(1))?;
        // SAFETY: aligned, not null, inside memory.
        (unsafe { block.as_ref() }.mark == MARK).then_some(block)
    }

    /// The bytes of data in the block.
    pub fn size(&self) -> usize {
        self.size as usize
    }

    /// Frees a block; any other address is ignored.
    ///
    /// # Safety
    ///
    /// As for [`Block::of`]; the data is not used afterwards.
    pub unsafe fn free(data: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe {
            let Some(mut block) = Self::of(data) else { return };
            let Some(layout) = Self::layout(block.as_ref().size()) else { return };
            // Freeing it again does nothing.
            block.as_mut().mark = 0;
            dealloc(block.as_ptr().cast(), layout);
        }
    }
}

#[cfg(target_arch = "wasm32")]
fn is_inside(address: usize) -> bool {
    // In 32 bits, 4 GiB are 0.
    let end = core::arch::wasm32::memory_size(0).wrapping_mul(65536);
    end == 0 || address <= end
}

#[cfg(not(target_arch = "wasm32"))]
fn is_inside(_address: usize) -> bool {
    true
}
