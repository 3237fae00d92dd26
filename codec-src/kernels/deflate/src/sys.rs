//! What is used of libdeflate.h, as it stands there.
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

macro_rules! of_each_format {
    ($($decompress:ident $compress:ident $bound:ident)*) => {
        unsafe extern "C" {
            $(
                pub fn $decompress(
                    decompressor: *mut libdeflate_decompressor,
                    input: *const c_void,
                    input_size: usize,
                    output: *mut c_void,
                    output_room: usize,
                    taken: *mut usize,
                    given: *mut usize,
                ) -> libdeflate_result;
                pub fn $compress(
                    compressor: *mut libdeflate_compressor,
                    input: *const c_void,
                    input_size: usize,
                    output: *mut c_void,
                    output_room: usize,
                ) -> usize;
                pub fn $bound(compressor: *mut libdeflate_compressor, input_size: usize) -> usize;
            )*
        }
    };
}

of_each_format! {
    libdeflate_deflate_decompress_ex libdeflate_deflate_compress libdeflate_deflate_compress_bound
    libdeflate_zlib_decompress_ex libdeflate_zlib_compress libdeflate_zlib_compress_bound
    libdeflate_gzip_decompress_ex libdeflate_gzip_compress libdeflate_gzip_compress_bound
}

unsafe extern "C" {
    pub fn libdeflate_alloc_decompressor_ex(
        options: *const libdeflate_options,
    ) -> *mut libdeflate_decompressor;
    pub fn libdeflate_free_decompressor(decompressor: *mut libdeflate_decompressor);
    pub fn libdeflate_alloc_compressor_ex(
        level: i32,
        options: *const libdeflate_options,
    ) -> *mut libdeflate_compressor;
    pub fn libdeflate_free_compressor(compressor: *mut libdeflate_compressor);
}
