//! The filter of a block before compression.

use std::mem::MaybeUninit;

// In shuffle.c. Each reads `size` bytes and writes as many.
unsafe extern "C" {
    fn blosc_shuffle(from: *const u8, to: *mut u8, size: usize, element: usize);
    fn blosc_unshuffle(from: *const u8, to: *mut u8, size: usize, element: usize);
    fn blosc_bitshuffle(
        from: *const u8,
        to: *mut u8,
        size: usize,
        element: usize,
        scratch: *mut u8,
    );
    fn blosc_bitunshuffle(
        from: *const u8,
        to: *mut u8,
        size: usize,
        element: usize,
        scratch: *mut u8,
    );
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    None,
    /// Puts bytes of equal significance next to each other.
    Bytes,
    /// Puts bits of equal significance next to each other.
    Bits,
}

impl Filter {
    /// Filters a block. All slices have its length; `element` is not 0.
    pub fn apply(
        self,
        element: usize,
        block: &[u8],
        to: &mut [MaybeUninit<u8>],
        scratch: &mut [MaybeUninit<u8>],
    ) {
        assert!(to.len() == block.len() && scratch.len() == block.len() && element > 0);
        let (from, to, size) = (block.as_ptr(), to.as_mut_ptr().cast::<u8>(), block.len());
        // SAFETY: all have the same length.
        unsafe {
            match self {
                Self::None => to.copy_from_nonoverlapping(from, size),
                Self::Bytes => blosc_shuffle(from, to, size, element),
                Self::Bits => {
                    blosc_bitshuffle(from, to, size, element, scratch.as_mut_ptr().cast())
                }
            }
        }
    }

    /// Reverses [`Filter::apply`].
    ///
    /// # Safety
    ///
    /// All bytes of `block` were written.
    pub unsafe fn undo(
        self,
        element: usize,
        block: &[MaybeUninit<u8>],
        to: &mut [MaybeUninit<u8>],
        scratch: &mut [MaybeUninit<u8>],
    ) {
        assert!(to.len() == block.len() && scratch.len() == block.len() && element > 0);
        let (from, to, size) = (block.as_ptr().cast(), to.as_mut_ptr().cast::<u8>(), block.len());
        // SAFETY: all have the same length.
        unsafe {
            match self {
                Self::None => to.copy_from_nonoverlapping(from, size),
                Self::Bytes => blosc_unshuffle(from, to, size, element),
                Self::Bits => {
                    blosc_bitunshuffle(from, to, size, element, scratch.as_mut_ptr().cast())
                }
            }
        }
    }
}
