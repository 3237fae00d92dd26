//! Zstandard (RFC 8878), on zstd.
//!
//! What there is in Rust was not faster where it was measured: see build.rs and zstd.c for what
//! makes zstd's own C fast here.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use chonkle_codec::Error;

#[repr(C)]
struct Cctx(u8);
#[repr(C)]
struct Dctx(u8);

type Allocate = extern "C" fn(*mut c_void, u64) -> *mut c_void;
type Release = unsafe extern "C" fn(*mut c_void, *mut c_void);

// Sizes, and errors among them, have 64 bits: see zstd.c.
unsafe extern "C" {
    fn zstd_kernel_compressor(allocate: Allocate, release: Release) -> *mut Cctx;
    fn zstd_kernel_decompressor(allocate: Allocate, release: Release) -> *mut Dctx;
    fn zstd_kernel_claim(data: *const u8, size: u64, bytes: *mut u64, is_exact: *mut u32) -> u64;
    fn ZSTD_isError(result: u64) -> u32;
    fn ZSTD_getErrorName(result: u64) -> *const c_char;
    fn ZSTD_compressBound(size: u64) -> u64;
    fn ZSTD_maxCLevel() -> c_int;
    fn ZSTD_CCtx_reset(context: *mut Cctx, what: c_int) -> u64;
    fn ZSTD_CCtx_setParameter(context: *mut Cctx, parameter: c_int, value: c_int) -> u64;
    fn ZSTD_compress2(
        context: *mut Cctx,
        output: *mut u8,
        room: u64,
        input: *const u8,
        size: u64,
    ) -> u64;
    fn ZSTD_decompressDCtx(
        context: *mut Dctx,
        output: *mut u8,
        room: u64,
        input: *const u8,
        size: u64,
    ) -> u64;
}

const SESSION_ONLY: c_int = 1;
const COMPRESSION_LEVEL: c_int = 100;
const CHECKSUM_FLAG: c_int = 201;
/// `ERROR(dstSize_tooSmall)`.
const TOO_LITTLE_ROOM: u64 = 70_u64.wrapping_neg();
/// `ERROR(memory_allocation)`.
const OUT_OF_MEMORY: u64 = 64_u64.wrapping_neg();

/// More than all that zstd adds to an address before it looks where that leads.
const BEYOND: usize = 1 << 20;

thread_local! {
    /// The contexts of the last calls. Making one takes longer than coding a small chunk; what it
    /// holds of the data before has no influence on what follows.
    static COMPRESSOR: Cell<Option<NonNull<Cctx>>> = const { Cell::new(None) };
    static DECOMPRESSOR: Cell<Option<NonNull<Dctx>>> = const { Cell::new(None) };
}

extern "C" fn allocate(_opaque: *mut c_void, bytes: u64) -> *mut c_void {
    c_memory::allocate(bytes.try_into().ok())
}

/// # Safety
///
/// The memory came from `allocate`, or is null.
unsafe extern "C" fn release(_opaque: *mut c_void, memory: *mut c_void) {
    // SAFETY: the same holds here.
    unsafe { c_memory::release(memory) }
}

/// What zstd says when it fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Failure(u64);

impl Failure {
    /// The output has no room for all.
    pub const TOO_LITTLE_ROOM: Self = Self(TOO_LITTLE_ROOM);

    /// Whether there was no memory to work in.
    pub fn is_out_of_memory(self) -> bool {
        self.0 == OUT_OF_MEMORY
    }

    /// The library's own words.
    pub fn words(self) -> &'static str {
        // SAFETY: zstd gives a constant, terminated, for any number.
        let words = unsafe { CStr::from_ptr(ZSTD_getErrorName(self.0)) };
        words.to_str().unwrap_or_default()
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure.is_out_of_memory() {
            true => "out of memory for zstd's tables".into(),
            false => Self::new(format_args!("zstd fails: {}", failure.words())),
        }
    }
}

fn result(value: u64) -> Result<u64, Failure> {
    // SAFETY: any number will do.
    if unsafe { ZSTD_isError(value) } == 0 { Ok(value) } else { Err(Failure(value)) }
}

/// Tells how much all frames hold together, and whether that is what they claim; otherwise it is
/// what their blocks can hold at most. A claim that blocks cannot hold is a failure.
pub fn claim(encoded: &[u8]) -> Result<(u64, bool), Failure> {
    let (mut bytes, mut is_exact) = (0, 0);
    // SAFETY: a slice, and two places to write to.
    let status = unsafe {
        zstd_kernel_claim(encoded.as_ptr(), encoded.len() as u64, &mut bytes, &mut is_exact)
    };
    result(status).map(|_| (bytes, is_exact != 0))
}

/// Decompresses all frames, and gives how many bytes it wrote.
pub fn decompress(encoded: &[u8], output: &mut [MaybeUninit<u8>]) -> Result<usize, Failure> {
    if output.as_ptr_range().end.addr() > usize::MAX - BEYOND {
        return Err(Failure(OUT_OF_MEMORY));
    }
    // SAFETY: gives a context or null.
    let context = DECOMPRESSOR
        .get()
        .or_else(|| NonNull::new(unsafe { zstd_kernel_decompressor(allocate, release) }));
    let context = context.ok_or(Failure(OUT_OF_MEMORY))?;
    DECOMPRESSOR.set(Some(context));
    // SAFETY: the slices are valid for their lengths; no byte of the output is read that was not
    // written.
    let size = unsafe {
        ZSTD_decompressDCtx(
            context.as_ptr(),
            output.as_mut_ptr().cast(),
            output.len() as u64,
            encoded.as_ptr(),
            encoded.len() as u64,
        )
    };
    // No more than the output has room for.
    result(size).map(|size| size as usize)
}

/// The highest level; others may be as low as -131072.
pub fn level_max() -> i32 {
    // SAFETY: a constant.
    unsafe { ZSTD_maxCLevel() }
}

/// How large a frame of `size` bytes gets at most.
pub fn bound(size: usize) -> usize {
    // SAFETY: arithmetic.
    result(unsafe { ZSTD_compressBound(size as u64) })
        .ok()
        .and_then(|bound| usize::try_from(bound).ok())
        .unwrap_or(usize::MAX)
}

/// Compresses to one frame that says how much it holds, and gives how many bytes it wrote.
pub fn compress(
    level: i32,
    checksum: bool,
    decoded: &[u8],
    output: &mut [MaybeUninit<u8>],
) -> Result<usize, Failure> {
    // SAFETY: gives a context or null.
    let context = COMPRESSOR
        .get()
        .or_else(|| NonNull::new(unsafe { zstd_kernel_compressor(allocate, release) }));
    let context = context.ok_or(Failure(OUT_OF_MEMORY))?;
    COMPRESSOR.set(Some(context));
    // SAFETY: the context is valid, the slices are for their lengths.
    let size = unsafe {
        let context = context.as_ptr();
        // A call that failed left it in the middle of a frame.
        result(ZSTD_CCtx_reset(context, SESSION_ONLY))?;
        result(ZSTD_CCtx_setParameter(context, COMPRESSION_LEVEL, level))?;
        result(ZSTD_CCtx_setParameter(context, CHECKSUM_FLAG, checksum.into()))?;
        ZSTD_compress2(
            context,
            output.as_mut_ptr().cast(),
            output.len() as u64,
            decoded.as_ptr(),
            decoded.len() as u64,
        )
    };
    result(size).map(|size| size as usize)
}
