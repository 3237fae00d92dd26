//! A safe interface to liblzma's streams: each lives for one call, and always ends with it.

use std::ffi::{c_int, c_void};

use chonkle_codec::{Error, Output, Result};

use crate::filters::Filter;

const OK: c_int = 0;
const STREAM_END: c_int = 1;
const UNSUPPORTED_CHECK: c_int = 3;
const MEMORY: c_int = 5;
const FORMAT: c_int = 7;
const OPTIONS: c_int = 8;
const BUFFER: c_int = 10;
const PROGRAM: c_int = 11;

/// The ports that a failure names.
const BYTES: &str = "bytes";
const FILTERS: &str = "filters";

/// The format around the data, with the numbers of Python's module.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// Xz or Alone, whichever the data begins with; only for decoding.
    Auto,
    Xz,
    Alone,
    Raw,
}

/// liblzma's `lzma_allocator`.
#[repr(C)]
struct Allocator {
    allocate: extern "C" fn(*mut c_void, usize, usize) -> *mut c_void,
    release: unsafe extern "C" fn(*mut c_void, *mut c_void),
    opaque: *mut c_void,
}

extern "C" fn allocate(_opaque: *mut c_void, count: usize, size: usize) -> *mut c_void {
    c_memory::allocate(count.checked_mul(size))
}

/// # Safety
///
/// The memory came from `allocate`, or is null.
unsafe extern "C" fn release(_opaque: *mut c_void, memory: *mut c_void) {
    // SAFETY: the same holds here.
    unsafe { c_memory::release(memory) }
}

const ALLOCATOR: Allocator = Allocator { allocate, release, opaque: std::ptr::null_mut() };

unsafe extern "C" {
    fn lzma_kernel_decode(
        memory: *const Allocator,
        container: c_int,
        filters: *const Filter,
        count: usize,
    ) -> c_int;
    fn lzma_kernel_encode(
        memory: *const Allocator,
        container: c_int,
        check: c_int,
        filters: *const Filter,
        count: usize,
        dictionary_most: u32,
    ) -> c_int;
    fn lzma_kernel_step(
        input: *const u8,
        size: *mut usize,
        output: *mut u8,
        room: *mut usize,
    ) -> c_int;
    fn lzma_kernel_end();
}

/// A result of liblzma that is no success, or an error of the SDK.
pub enum Failure {
    Found(c_int, &'static str),
    Other(Error),
}

impl Failure {
    /// Whether the data are damaged, or no stream of the format; false for a truncated stream.
    pub fn is_bad_data(&self) -> bool {
        matches!(self, Self::Found(found, BYTES) if ![MEMORY, BUFFER].contains(found))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let (found, port) = match failure {
            Failure::Found(found, port) => (found, port),
            Failure::Other(error) => return error,
        };
        let words = match found {
            MEMORY => return "out of memory for liblzma's dictionary and tables".into(),
            UNSUPPORTED_CHECK => return "port `check`: not one that liblzma has".into(),
            FORMAT => "not a stream of this format",
            // For a chain without filters, liblzma returns PROGRAM.
            OPTIONS | PROGRAM => "filters, or values of theirs, that liblzma has not in this format",
            BUFFER => "truncated LZMA stream",
            _ => "bad LZMA stream, or wrong check",
        };
        Self::new(format_args!("port `{port}`: {words}"))
    }
}

/// Decodes the stream at the start of `encoded` and appends it to `output`. Returns the bytes after
/// the stream.
pub fn decode<'a>(
    container: Container,
    filters: &[Filter],
    encoded: &'a [u8],
    output: &mut Output,
) -> Result<&'a [u8], Failure> {
    let _end = End;
    // SAFETY: the slice is valid for its length.
    let begun = unsafe {
        lzma_kernel_decode(&ALLOCATOR, container as c_int, filters.as_ptr(), filters.len())
    };
    if begun != OK {
        return Err(Failure::Found(begun, FILTERS));
    }
    run(encoded, output)
}

/// Encodes to a stream and appends it to `output`.
pub fn encode(
    container: Container,
    check: c_int,
    filters: &[Filter],
    dictionary_most: u32,
    decoded: &[u8],
    output: &mut Output,
) -> Result {
    let _end = End;
    // SAFETY: the slice is valid for its length.
    let begun = unsafe {
        let (filters, count) = (filters.as_ptr(), filters.len());
        lzma_kernel_encode(&ALLOCATOR, container as c_int, check, filters, count, dictionary_most)
    };
    if begun != OK {
        return Err(Failure::Found(begun, FILTERS).into());
    }
    run(decoded, output)?;
    Ok(())
}

/// Runs a stream to its end; returns the bytes of the input that it did not take.
fn run<'a>(mut input: &'a [u8], output: &mut Output) -> Result<&'a [u8], Failure> {
    loop {
        let room = output.spare();
        let (mut left, mut room_left) = (input.len(), room.len());
        // SAFETY: the slices are valid for their lengths.
        let found = unsafe {
            let to = room.as_mut_ptr().cast();
            lzma_kernel_step(input.as_ptr(), &mut left, to, &mut room_left)
        };
        let written = room.len() - room_left;
        // SAFETY: the library wrote the bytes it counted.
        unsafe { output.advance(written) };
        input = &input[input.len() - left..];
        match found {
            STREAM_END => return Ok(input),
            OK => (),
            // No progress was possible, for lack of input or of room.
            BUFFER if room_left == 0 => output.reserve(1)?,
            found => return Err(Failure::Found(found, BYTES)),
        }
    }
}

/// Ends the stream.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        // SAFETY: the stream was begun, successfully or not.
        unsafe { lzma_kernel_end() }
    }
}
