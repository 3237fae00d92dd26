//! An input that is changed in place.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::slice;

/// A port's bytes, to change in place; what is left of them can become the output, with
/// [`Outputs::hand_back`](crate::Outputs::hand_back). They are not aligned.
pub struct Buffer<'a> {
    data: *mut u8,
    size: usize,
    /// The start of the port's bytes.
    pub(crate) start: *mut u8,
    lifetime: PhantomData<&'a mut [u8]>,
}

impl<'a> Buffer<'a> {
    /// # Safety
    ///
    /// For 'a, `size` bytes at `data` are readable and writable, and not used in other ways.
    pub(crate) unsafe fn new(data: *mut u8, size: usize) -> Self {
        Self { data, size, start: data, lifetime: PhantomData }
    }

    /// Keeps the first `size` bytes; all when there are fewer.
    pub fn truncate(&mut self, size: usize) {
        self.size = self.size.min(size);
    }

    /// Drops the first `size` bytes; all when there are fewer.
    pub fn drop_front(&mut self, size: usize) {
        let dropped = self.size.min(size);
        // SAFETY: not beyond the end.
        self.data = unsafe { self.data.add(dropped) };
        self.size -= dropped;
    }
}

impl Deref for Buffer<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: promised to `new`.
        unsafe { slice::from_raw_parts(self.data, self.size) }
    }
}

impl DerefMut for Buffer<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: promised to `new`.
        unsafe { slice::from_raw_parts_mut(self.data, self.size) }
    }
}
