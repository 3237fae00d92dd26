//! A safe interface to libdeflate.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use crate::sys;
use chonkle_codec::Error;

unsafe extern "C" fn allocate(bytes: usize) -> *mut c_void {
    c_memory::allocate(Some(bytes))
}

unsafe extern "C" fn free(memory: *mut c_void) {
    // SAFETY: it came from `allocate`.
    unsafe { c_memory::release(memory) }
}

const OPTIONS: sys::libdeflate_options = sys::libdeflate_options {
    sizeof_options: size_of::<sys::libdeflate_options>(),
    malloc_func: Some(allocate),
    free_func: Some(free),
};

/// Why a stream could not be decompressed.
pub enum Refusal {
    /// It is malformed or truncated.
    Bad,
    /// It decompresses to more than the room.
    TooLittleRoom,
}

/// Decompresses the stream at the start of `input`; returns the sizes of the stream and of its
/// decompressed data.
pub fn decompress(input: &[u8], output: &mut [MaybeUninit<u8>]) -> Result<(usize, usize), Refusal> {
    let (mut taken, mut given) = (0, 0);
    // SAFETY: both slices are valid for their lengths; libdeflate's result does not depend on
    // output bytes that it has not written. There is one thread, and no recursion.
    let result = unsafe {
        sys::libdeflate_deflate_decompress_ex(
            &raw mut sys::the_decompressor,
            input.as_ptr().cast(),
            input.len(),
            output.as_mut_ptr().cast(),
            output.len(),
            &mut taken,
            &mut given,
        )
    };
    match result {
        sys::LIBDEFLATE_SUCCESS => Ok((taken, given)),
        sys::LIBDEFLATE_INSUFFICIENT_SPACE => Err(Refusal::TooLittleRoom),
        _ => Err(Refusal::Bad),
    }
}

/// The state of compression at one level.
pub struct Compressor {
    state: NonNull<sys::libdeflate_compressor>,
    level: i32,
}

impl Compressor {
    /// Makes a state for a level from 0 (stored) to 12; an error when memory is out.
    pub fn new(level: i32) -> Result<Self, Error> {
        // SAFETY: the options are complete; a bad level gives null.
        let state = unsafe { sys::libdeflate_alloc_compressor_ex(level, &OPTIONS) };
        let state = NonNull::new(state).ok_or("out of memory for compression")?;
        Ok(Self { state, level })
    }

    /// The level of the state.
    pub fn level(&self) -> i32 {
        self.level
    }

    /// The largest compressed size of `size` bytes.
    pub fn bound(&mut self, size: usize) -> usize {
        // SAFETY: the state is valid.
        unsafe { sys::libdeflate_deflate_compress_bound(self.state.as_ptr(), size) }
    }

    /// Compresses to a stream and returns its size; None when the room is too small.
    pub fn compress(&mut self, input: &[u8], output: &mut [MaybeUninit<u8>]) -> Option<usize> {
        // SAFETY: both slices are valid for their lengths.
        let size = unsafe {
            sys::libdeflate_deflate_compress(
                self.state.as_ptr(),
                input.as_ptr().cast(),
                input.len(),
                output.as_mut_ptr().cast(),
                output.len(),
            )
        };
        (size > 0).then_some(size)
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        // SAFETY: allocated by `new`.
        unsafe { sys::libdeflate_free_compressor(self.state.as_ptr()) }
    }
}
