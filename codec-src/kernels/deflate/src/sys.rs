//! The declarations of libdeflate.h that are used.
#![allow(non_camel_case_types)]

use std::ffi::c_void;

#[repr(C)]
pub struct libdeflate_compressor {
    _private: [u8; 0],
}

#[repr(C)]
pub struct libdeflate_decompressor {
    _private: [u8; 0],
}

#[repr(C)]
pub struct libdeflate_options {
    pub sizeof_options: usize,
    pub malloc_func: Option<unsafe extern "C" fn(usize) -> *mut c_void>,
    pub free_func: Option<unsafe extern "C" fn(*mut c_void)>,
}

pub type libdeflate_result = u32;
pub const LIBDEFLATE_SUCCESS: libdeflate_result = 0;
pub const LIBDEFLATE_INSUFFICIENT_SPACE: libdeflate_result = 3;

unsafe extern "C" {
    /// In fast_loop.h: all zeros, like one that libdeflate allocates, but for its free function.
    pub static mut the_decompressor: libdeflate_decompressor;
    pub fn libdeflate_deflate_decompress_ex(
        decompressor: *mut libdeflate_decompressor,
        input: *const c_void,
        input_size: usize,
        output: *mut c_void,
        output_room: usize,
        taken: *mut usize,
        given: *mut usize,
    ) -> libdeflate_result;
    pub fn libdeflate_deflate_compress(
        compressor: *mut libdeflate_compressor,
        input: *const c_void,
        input_size: usize,
        output: *mut c_void,
        output_room: usize,
    ) -> usize;
    pub fn libdeflate_deflate_compress_bound(
        compressor: *mut libdeflate_compressor,
        input_size: usize,
    ) -> usize;
    pub fn libdeflate_alloc_compressor_ex(
        level: i32,
        options: *const libdeflate_options,
    ) -> *mut libdeflate_compressor;
    pub fn libdeflate_free_compressor(compressor: *mut libdeflate_compressor);
}
