//! The filter of a block before compression.

use std::mem::MaybeUninit;

use crate::header::PARTS_MAX;

// In shuffle.c. Each reads `size` bytes and writes as many.
unsafe extern "C" {
    fn blosc_shuffle(from: *const u8, to: *mut u8, size: usize, element: usize);
    fn blosc_unshuffle(from: *const u8, to: *mut u8, size: usize, element: usize);
    fn blosc_unshuffle_planes(planes: *const *const u8, to: *mut u8, size: usize, element: usize);
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

    /// Whether the parts of a block may lie apart in [`Filter::undo`].
    pub fn takes_parts(self) -> bool {
        self == Self::Bytes
    }

    /// Reverses [`Filter::apply`].
    ///
    /// # Safety
    ///
    /// The block has one part, or one of equal size for each byte of an element, at most 16. Unless
    /// the filter [takes parts](Self::takes_parts), they follow each other in memory.
    pub unsafe fn undo(
        self,
        element: usize,
        parts: &[&[u8]],
        to: &mut [MaybeUninit<u8>],
        scratch: &mut [MaybeUninit<u8>],
    ) {
        let size = parts.iter().map(|part| part.len()).sum();
        assert!(to.len() == size && scratch.len() == size && element > 0);
        let (from, to) = (parts[0].as_ptr(), to.as_mut_ptr().cast::<u8>());
        // SAFETY: all have the same length.
        unsafe {
            match self {
                Self::None => to.copy_from_nonoverlapping(from, size),
                Self::Bytes if parts.len() > 1 => {
                    let mut planes = [from; PARTS_MAX];
                    for (plane, part) in planes.iter_mut().zip(parts) {
                        *plane = part.as_ptr();
                    }
                    blosc_unshuffle_planes(planes.as_ptr(), to, size, element);
                }
                Self::Bytes => blosc_unshuffle(from, to, size, element),
                Self::Bits => {
                    blosc_bitunshuffle(from, to, size, element, scratch.as_mut_ptr().cast())
                }
            }
        }
    }
}
