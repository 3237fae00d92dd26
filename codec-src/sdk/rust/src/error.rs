//! Error messages.

use std::fmt::{self, Write};
use std::ptr::NonNull;
use std::{slice, str};

use crate::block::Block;

/// Bytes of text in an [`Error`].
const TEXT_MAX: usize = 500;
/// Bytes of an input in it.
const SHOWN_MAX: usize = 44;

/// Why a call failed: one line, lower case at the start, no full stop at the end.
pub struct Error(Text);

enum Text {
    Fixed(&'static str),
    /// In a [`Block`] of its own.
    Made(NonNull<u8>, usize),
}

impl Error {
    /// Makes an error from formatted text: `Error::new(format_args!("bad level {level}"))`.
    ///
    /// Text is cut after 500 bytes. When memory is out, the error says that instead.
    pub fn new(text: fmt::Arguments<'_>) -> Self {
        match text.as_str() {
            Some(fixed) => fixed.into(),
            // A full sink fails, after it has cut the text.
            None => Self::write(|sink| _ = sink.write_fmt(text)),
        }
    }

    /// Makes an error: `size` bytes could not be allocated.
    pub fn out_of_memory(size: usize) -> Self {
        error!("out of memory, wanted ", size, " bytes")
    }

    /// Makes an error from what a function writes.
    pub(crate) fn write(write: impl FnOnce(&mut Sink)) -> Self {
        let Some(data) = Block::allocate(TEXT_MAX) else { return "out of memory".into() };
        let mut sink = Sink { data, size: 0 };
        write(&mut sink);
        Self(Text::Made(data, sink.size))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match self.0 {
            Text::Fixed(text) => text,
            // SAFETY: the block has that many bytes of whole characters.
            Text::Made(data, size) => unsafe {
                str::from_utf8_unchecked(slice::from_raw_parts(data.as_ptr(), size))
            },
        }
    }
}

impl Drop for Error {
    fn drop(&mut self) {
        if let Text::Made(data, _) = self.0 {
            // SAFETY: the error owns the block.
            unsafe { Block::free(data.as_ptr()) }
        }
    }
}

impl From<&'static str> for Error {
    fn from(text: &'static str) -> Self {
        Self(Text::Fixed(text))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl std::error::Error for Error {}

/// Makes an [`Error`] by joining pieces of text.
///
/// The SDK's own errors do without `core::fmt`, which is larger than the rest of the SDK.
macro_rules! error {
    ($($piece:expr),+ $(,)?) => {
        $crate::error::Error::write(|sink| {
            for piece in [$($crate::error::Piece::from($piece)),+] {
                sink.put(piece);
            }
        })
    };
}
pub(crate) use error;

/// A piece of an error's text.
#[derive(Clone, Copy)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    Int(i64),
    Uint(u64),
    Shown(Shown<'a>),
}

/// Bytes of an input in an error's text: printable ASCII, cut to `SHOWN_MAX`.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a>(pub &'a [u8]);

impl<'a> From<&'a str> for Piece<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Piece<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u64> for Piece<'_> {
    fn from(number: u64) -> Self {
        Self::Uint(number)
    }
}

impl From<usize> for Piece<'_> {
    fn from(number: usize) -> Self {
        Self::Uint(number as u64)
    }
}

impl<'a> From<Shown<'a>> for Piece<'a> {
    fn from(shown: Shown<'a>) -> Self {
        Self::Shown(shown)
    }
}

/// Text in a block of memory, cut between characters when the block is full.
pub(crate) struct Sink {
    data: NonNull<u8>,
    size: usize,
}

impl Sink {
    pub fn put(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Text(text) => _ = self.put_bytes(text.as_bytes()),
            Piece::Uint(number) => self.put_number(number),
            Piece::Int(number) => {
                if number < 0 {
                    self.put_bytes(b"-");
                }
                self.put_number(number.unsigned_abs());
            }
            Piece::Shown(Shown(data)) => {
                for byte in data.iter().take(SHOWN_MAX) {
                    self.put_bytes(&[if matches!(byte, b' '..=b'~') { *byte } else { b'?' }]);
                }
                if data.len() > SHOWN_MAX {
                    self.put_bytes(b"...");
                }
            }
        }
    }

    fn put_number(&mut self, number: u64) {
        if number > 9 {
            self.put_number(number / 10);
        }
        self.put_bytes(&[b'0' + (number % 10) as u8]);
    }

    /// Appends bytes; false when they were cut.
    fn put_bytes(&mut self, bytes: &[u8]) -> bool {
        let mut size = bytes.len().min(TEXT_MAX - self.size);
        // A byte 10xxxxxx continues a character, which is left out as a whole.
        while bytes.get(size).is_some_and(|byte| byte & 0xC0 == 0x80) {
            size -= 1;
        }
        let from = NonNull::from(bytes).cast();
        // SAFETY: both have that many bytes.
        unsafe { self.data.add(self.size).copy_from_nonoverlapping(from, size) }
        self.size += size;
        size == bytes.len()
    }
}

impl Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.put_bytes(text.as_bytes()) { Ok(()) } else { Err(fmt::Error) }
    }
}
