//! The outputs of a call, written where the host reads them.

use std::mem::MaybeUninit;
use std::ptr;
use std::slice;

use crate::Result;
use crate::block::Block;
use crate::buffer::Buffer;
use crate::error::{Error, error};

/// Bytes of a length in a port-map.
pub(crate) const U32: usize = 4;

/// The least size that [`Output::grow`] makes.
const ROOM_LEAST: usize = 4096;

const ALONE: &str = "an output in place stands alone";

/// An input, or a part of one, that is the output.
#[derive(Clone, Copy)]
pub(crate) struct Kept {
    pub name: &'static str,
    pub data: *mut u8,
    pub size: usize,
    /// The start of the input.
    pub start: *mut u8,
}

/// The outputs of a call.
///
/// They are an encoded port-map in one block of memory:
///
/// ```text
/// u32 count, { u32 name_len, name, u32 data_len, data }*        little-endian, unpadded
/// ```
///
/// The core ABI returns it as it is, the component ABI points its rows into it: outputs are not
/// copied again.
pub struct Outputs {
    block: *mut u8,
    size: usize,
    capacity: usize,
    count: usize,
    last_data: usize,
    kept: Option<Kept>,
}

impl Outputs {
    pub(crate) fn new() -> Self {
        Self { block: ptr::null_mut(), size: U32, capacity: 0, count: 0, last_data: 0, kept: None }
    }

    /// Begins an output with room for `capacity` bytes. It is complete when the next one begins or
    /// the transform returns.
    ///
    /// An error when memory is out, and after [`Outputs::hand_back`].
    pub fn begin(&mut self, name: &str, capacity: usize) -> Result<Output<'_>> {
        if self.kept.is_some() {
            return Err(ALONE.into());
        }
        let data = self.size.saturating_add(U32 + name.len() + U32);
        self.reserve(data.saturating_add(capacity), 0)?;
        self.write_u32(self.size, name.len());
        self.write(self.size + U32, name.as_bytes());
        self.write_u32(data - U32, 0);
        self.count += 1;
        self.write_u32(0, self.count);
        self.last_data = data;
        self.size = data;
        Ok(Output { outputs: self })
    }

    /// Writes a whole output.
    pub fn write_all(&mut self, name: &str, data: &[u8]) -> Result {
        self.begin(name, data.len())?.extend(data)
    }

    /// Makes an output of `size` zeros, and returns it to be overwritten.
    pub fn zeroed(&mut self, name: &str, size: usize) -> Result<&mut [u8]> {
        self.begin(name, size)?.into_zeroed(size)
    }

    /// Makes an input, or what is left of it, the only output; an error when others exist.
    pub fn hand_back(&mut self, name: &'static str, mut buffer: Buffer<'_>) -> Result {
        if self.count > 0 {
            return Err(ALONE.into());
        }
        let (data, size, start) = (buffer.as_mut_ptr(), buffer.len(), buffer.start);
        self.kept = Some(Kept { name, data, size, start });
        self.count = 1;
        Ok(())
    }

    pub(crate) fn kept(&self) -> Option<Kept> {
        self.kept
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Returns the encoded port-map, which the caller frees.
    pub(crate) fn into_block(self) -> (*mut u8, usize) {
        let given = (self.block, self.size);
        std::mem::forget(self);
        given
    }

    /// Makes room for `size` bytes, and for `generous` bytes where memory allows.
    fn reserve(&mut self, size: usize, generous: usize) -> Result {
        if size <= self.capacity {
            return Ok(());
        }
        for wished in [generous, size] {
            if wished < size {
                continue;
            }
            // SAFETY: the outputs own the block.
            if let Some(block) = unsafe { Block::resize(self.block, wished) } {
                self.block = block.as_ptr();
                self.capacity = wished;
                return Ok(());
            }
        }
        Err(Error::out_of_memory(size))
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        debug_assert!(at + bytes.len() <= self.capacity);
        // SAFETY: callers reserve the room.
        unsafe { self.block.add(at).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
    }

    fn write_u32(&mut self, at: usize, value: usize) {
        // The size of a block fits 32 bits.
        self.write(at, &(value as u32).to_le_bytes());
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        // SAFETY: the outputs own the block; null is ignored.
        unsafe { Block::free(self.block) }
    }
}

/// An output that is being written, like a `Vec<u8>` that returns an error when memory is out.
///
/// The bytes are not aligned. On an error, the output is unchanged.
pub struct Output<'a> {
    outputs: &'a mut Outputs,
}

impl<'a> Output<'a> {
    /// The number of bytes written.
    pub fn len(&self) -> usize {
        self.outputs.size - self.outputs.last_data
    }

    /// Whether no byte was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes written.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: these bytes were written; an output has a block.
        unsafe {
            slice::from_raw_parts_mut(self.outputs.block.add(self.outputs.last_data), self.len())
        }
    }

    /// Forgets the bytes written after the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.outputs.size = self.outputs.last_data + len.min(self.len());
        let (at, size) = (self.outputs.last_data - U32, self.len());
        self.outputs.write_u32(at, size);
    }

    /// Makes room for `additional` bytes after those written.
    ///
    /// Memory at least doubles when it grows: writing in small steps costs no more than copying the
    /// output once or twice.
    pub fn reserve(&mut self, additional: usize) -> Result {
        let doubled = self.outputs.capacity.saturating_mul(2);
        self.outputs.reserve(self.outputs.size.saturating_add(additional), doubled)
    }

    /// Enlarges the output's whole room eight times, or twice where memory is short, for decoders
    /// that start again in a larger room.
    ///
    /// It becomes 4096 bytes at least, and `bound` at most; an error when it is `bound` already.
    pub fn grow(&mut self, bound: usize) -> Result {
        let room = self.outputs.capacity - self.outputs.last_data;
        if room >= bound {
            return Err(error!("output larger than ", bound, " bytes"));
        }
        let sized = |times: usize| {
            let wished = room.saturating_mul(times).max(ROOM_LEAST).min(bound);
            self.outputs.last_data.saturating_add(wished)
        };
        let (size, generous) = (sized(2), sized(8));
        self.outputs.reserve(size, generous)
    }

    /// The room after the bytes written.
    pub fn spare(&mut self) -> &mut [MaybeUninit<u8>] {
        let (at, room) = (self.outputs.size, self.outputs.capacity - self.outputs.size);
        // SAFETY: reserved; an output has a block.
        unsafe { slice::from_raw_parts_mut(self.outputs.block.add(at).cast(), room) }
    }

    /// Counts the first `count` bytes of [`Output::spare`] as written.
    ///
    /// # Safety
    ///
    /// They were written, and `count` is at most the length of that slice.
    pub unsafe fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.outputs.capacity - self.outputs.size);
        self.outputs.size += count;
        let (at, size) = (self.outputs.last_data - U32, self.len());
        self.outputs.write_u32(at, size);
    }

    /// Appends bytes.
    pub fn extend(&mut self, bytes: &[u8]) -> Result {
        self.reserve(bytes.len())?;
        self.outputs.write(self.outputs.size, bytes);
        // SAFETY: written above.
        unsafe { self.advance(bytes.len()) };
        Ok(())
    }

    /// Appends `count` zeros, and returns them to be overwritten.
    pub fn extend_zeroed(&mut self, count: usize) -> Result<&mut [u8]> {
        Output { outputs: self.outputs }.into_zeroed(count)
    }

    fn into_zeroed(mut self, count: usize) -> Result<&'a mut [u8]> {
        self.reserve(count)?;
        // SAFETY: reserved above, and written here.
        unsafe {
            let start = self.outputs.block.add(self.outputs.size);
            start.write_bytes(0, count);
            self.advance(count);
            Ok(slice::from_raw_parts_mut(start, count))
        }
    }
}
