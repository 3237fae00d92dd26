//! The outputs of a call, written where the host reads them.

use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::slice;

use crate::block::Block;
use crate::error::Error;
use crate::inputs::Buffer;

/// Bytes of a length in a port-map.
pub(crate) const U32: usize = 4;

/// An input that goes back as the output.
#[derive(Clone, Copy)]
pub(crate) struct Kept {
    pub name: &'static str,
    pub data: *mut u8,
    pub size: usize,
}

/// The outputs of a call.
///
/// They stand as an encoded port-map in one block of memory:
///
/// ```text
/// u32 count, { u32 name_len, name, u32 data_len, data }*        little-endian, unpadded
/// ```
///
/// The core ABI returns it as it is, the component ABI points its rows into it.
pub struct Outputs {
    block: Option<NonNull<u8>>,
    size: usize,
    capacity: usize,
    count: u32,
    last_data: usize,
    kept: Option<Kept>,
}

impl Outputs {
    pub(crate) fn new() -> Self {
        Self { block: None, size: U32, capacity: 0, count: 0, last_data: 0, kept: None }
    }

    /// Begins an output with room for `capacity` bytes; it is complete when the next one begins or
    /// the transform returns.
    ///
    /// Beginning or growing an output may move those before it.
    pub fn begin(&mut self, name: &str, capacity: usize) -> Result<Output<'_>, Error> {
        if self.kept.is_some() {
            return Err("an output in place stands alone".into());
        }
        let header = U32 + name.len() + U32;
        let data = self.size.saturating_add(header);
        self.reserve(data.saturating_add(capacity))?;
        self.write_u32(self.size, name.len());
        self.write(self.size + U32, name.as_bytes());
        self.write_u32(data - U32, 0);
        self.count += 1;
        self.write_u32(0, self.count as usize);
        self.last_data = data;
        self.size = data;
        Ok(Output { outputs: self })
    }

    /// Writes an output whole.
    pub fn write_all(&mut self, name: &str, data: &[u8]) -> Result<(), Error> {
        self.begin(name, data.len())?.extend(data)
    }

    /// Gives an input's memory back as the one output, after it was changed in place.
    pub fn hand_back(&mut self, name: &'static str, buffer: Buffer<'_>) -> Result<(), Error> {
        if self.count > 0 || self.kept.is_some() {
            return Err("an output in place stands alone".into());
        }
        let mut buffer = buffer;
        self.kept = Some(Kept { name, data: buffer.as_mut_ptr(), size: buffer.len() });
        Ok(())
    }

    pub(crate) fn kept(&self) -> Option<Kept> {
        self.kept
    }

    pub(crate) fn forget_kept(&mut self) {
        self.kept = None;
    }

    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }

    /// Gives the encoded port-map away; the receiver frees it.
    pub(crate) fn into_block(mut self) -> (*mut u8, usize) {
        let block = self.block.take();
        (block.map_or(ptr::null_mut(), NonNull::as_ptr), self.size)
    }

    fn reserve(&mut self, size: usize) -> Result<(), Error> {
        if size <= self.capacity {
            return Ok(());
        }
        let block = match self.block {
            None => Block::allocate(size),
            // SAFETY: the block is ours.
            Some(block) => unsafe { Block::resize(block, size) },
        };
        self.block = Some(block.ok_or_else(|| Error::out_of_memory(size))?);
        self.capacity = size;
        Ok(())
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        debug_assert!(at + bytes.len() <= self.capacity);
        if let Some(block) = self.block {
            // SAFETY: callers have reserved the room.
            unsafe {
                block.add(at).copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len())
            }
        }
    }

    fn write_u32(&mut self, at: usize, value: usize) {
        // A block is never larger than 32 bits can tell.
        self.write(at, &(value as u32).to_le_bytes());
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        if let Some(block) = self.block {
            // SAFETY: the block is ours, and nobody else got it.
            unsafe { Block::free(block.as_ptr()) }
        }
    }
}

/// One output being written; it works like a `Vec<u8>` that reports when memory runs out.
///
/// The bytes are not aligned.
pub struct Output<'a> {
    outputs: &'a mut Outputs,
}

impl Output<'_> {
    /// How many bytes were written.
    pub fn len(&self) -> usize {
        self.outputs.size - self.outputs.last_data
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was written.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        let (size, last_data) = (self.len(), self.outputs.last_data);
        match self.outputs.block {
            // SAFETY: these bytes were written.
            Some(block) => unsafe {
                slice::from_raw_parts_mut(block.add(last_data).as_ptr(), size)
            },
            None => &mut [],
        }
    }

    /// Makes room for `additional` bytes more than were written. To grow an output of unknown
    /// size, at least double it: that keeps the copying linear.
    pub fn reserve(&mut self, additional: usize) -> Result<(), Error> {
        self.outputs.reserve(self.outputs.size.saturating_add(additional))
    }

    /// The room behind what was written.
    pub fn spare(&mut self) -> &mut [MaybeUninit<u8>] {
        let (at, room) = (self.outputs.size, self.outputs.capacity - self.outputs.size);
        match self.outputs.block {
            // SAFETY: reserved and ours.
            Some(block) => unsafe {
                slice::from_raw_parts_mut(block.add(at).as_ptr().cast(), room)
            },
            None => &mut [],
        }
    }

    /// Says that the first `count` bytes of [`Output::spare`] were written.
    ///
    /// # Safety
    ///
    /// They were, and there are so many.
    pub unsafe fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.outputs.capacity - self.outputs.size);
        self.outputs.size += count;
        let (at, size) = (self.outputs.last_data - U32, self.len());
        self.outputs.write_u32(at, size);
    }

    /// Appends bytes.
    pub fn extend(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.reserve(bytes.len())?;
        self.outputs.write(self.outputs.size, bytes);
        // SAFETY: just written.
        unsafe { self.advance(bytes.len()) };
        Ok(())
    }

    /// Appends `count` zeros and gives them to be written over.
    pub fn extend_zeroed(&mut self, count: usize) -> Result<&mut [u8], Error> {
        self.reserve(count)?;
        let start = self.len();
        self.spare()[..count].fill(MaybeUninit::new(0));
        // SAFETY: just written.
        unsafe { self.advance(count) };
        Ok(&mut self.as_mut_slice()[start..])
    }
}
