//! Zstandard (RFC 8878), with zstd: build.rs and zstd.c make it fast in WebAssembly.

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

// Sizes, which include error codes, have 64 bits: see zstd.c.
unsafe extern "C" {
    fn zstd_kernel_compressor(allocate: Allocate, release: Release) -> *mut Cctx;
    fn zstd_kernel_decompressor(allocate: Allocate, release: Release) -> *mut Dctx;
    fn zstd_kernel_claim(
        data: *const u8,
        size: *mut u64,
        bytes: *mut u64,
        is_exact: *mut u32,
    ) -> u64;
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

/// More than zstd adds to an address before it checks the result.
const BEYOND: usize = 1 << 20;

thread_local! {
    /// The contexts of the last calls, as making one takes longer than coding a small chunk. Data
    /// of earlier calls in them has no influence on later ones.
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

/// An error code of zstd.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Failure(u64);

impl Failure {
    /// The output's room is too small.
    pub const TOO_LITTLE_ROOM: Self = Self(TOO_LITTLE_ROOM);

    /// Whether memory for zstd's tables is out.
    pub fn is_out_of_memory(self) -> bool {
        self.0 == OUT_OF_MEMORY
    }

    /// The library's message.
    pub fn words(self) -> &'static str {
        // SAFETY: zstd returns a terminated constant for any number.
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
    // SAFETY: any number is valid.
    if unsafe { ZSTD_isError(value) } == 0 { Ok(value) } else { Err(Failure(value)) }
}

/// What frames claim.
pub struct Claim {
    /// The encoded size of all frames; what follows them is no frame.
    pub encoded: usize,
    /// Their decoded size.
    pub decoded: u64,
    /// False when a frame does not record its size: the most that its blocks can hold is counted.
    pub is_exact: bool,
}

/// Returns what frames, at least one, claim. Fails when a recorded size is more than the blocks of its
/// frame can hold.
pub fn claim(data: &[u8]) -> Result<Claim, Failure> {
    let (mut encoded, mut decoded, mut is_exact) = (data.len() as u64, 0, 0);
    // SAFETY: a slice, and three numbers to write to.
    let status =
        unsafe { zstd_kernel_claim(data.as_ptr(), &mut encoded, &mut decoded, &mut is_exact) };
    // At most the size of the data.
    result(status).map(|_| Claim { encoded: encoded as usize, decoded, is_exact: is_exact != 0 })
}

/// Decompresses all frames and returns the decompressed size.
pub fn decompress(encoded: &[u8], output: &mut [MaybeUninit<u8>]) -> Result<usize, Failure> {
    if output.as_ptr_range().end.addr() > usize::MAX - BEYOND {
        return Err(Failure(OUT_OF_MEMORY));
    }
    // SAFETY: returns a context or null.
    let context = DECOMPRESSOR
        .get()
        .or_else(|| NonNull::new(unsafe { zstd_kernel_decompressor(allocate, release) }));
    let context = context.ok_or(Failure(OUT_OF_MEMORY))?;
    DECOMPRESSOR.set(Some(context));
    // SAFETY: the slices are valid for their lengths; output bytes are read only once written.
    let size = unsafe {
        ZSTD_decompressDCtx(
            context.as_ptr(),
            output.as_mut_ptr().cast(),
            output.len() as u64,
            encoded.as_ptr(),
            encoded.len() as u64,
        )
    };
    // At most the size of the output's room.
    result(size).map(|size| size as usize)
}

/// The highest level; zstd counts a level beyond the highest or the lowest, -131072, as that.
pub fn level_max() -> i32 {
    // SAFETY: a constant.
    unsafe { ZSTD_maxCLevel() }
}

/// The largest compressed size of `size` bytes.
pub fn bound(size: usize) -> usize {
    // SAFETY: arithmetic.
    result(unsafe { ZSTD_compressBound(size as u64) })
        .ok()
        .and_then(|bound| usize::try_from(bound).ok())
        .unwrap_or(usize::MAX)
}

/// Compresses to one frame that records the decoded size; returns the size of the frame.
pub fn compress(
    level: i32,
    checksum: bool,
    decoded: &[u8],
    output: &mut [MaybeUninit<u8>],
) -> Result<usize, Failure> {
    // SAFETY: returns a context or null.
    let context = COMPRESSOR
        .get()
        .or_else(|| NonNull::new(unsafe { zstd_kernel_compressor(allocate, release) }));
    let context = context.ok_or(Failure(OUT_OF_MEMORY))?;
    COMPRESSOR.set(Some(context));
    // SAFETY: the context is valid, and the slices are valid for their lengths.
    let size = unsafe {
        let context = context.as_ptr();
        // After a call that failed, the context is in the middle of a frame.
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
