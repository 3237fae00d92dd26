//! Failure in words.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Bytes of text that an [`Error`] keeps at most.
const TEXT_MAX: usize = 500;
/// Bytes of somebody's data that an [`Error`] shows at most.
const SHOWN_MAX: usize = 44;

/// Why a call failed: one line, begun in lower case, without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Cow<'static, str>);

impl Error {
    /// Makes an error of formatted text: `Error::new(format_args!("bad level {level}"))`.
    ///
    /// Text beyond 500 bytes is cut. Where there is no memory for it, the error says that instead.
    pub fn new(text: fmt::Arguments<'_>) -> Self {
        if let Some(fixed) = text.as_str() {
            return Self(Cow::Borrowed(fixed));
        }
        let mut sink = Sink(String::new());
        if sink.0.try_reserve_exact(TEXT_MAX).is_err() {
            return Self(Cow::Borrowed("out of memory"));
        }
        // The sink fails when it is full, and then the text stands cut.
        let _ = sink.write_fmt(text);
        Self(Cow::Owned(sink.0))
    }

    /// Makes an error that says that `size` bytes could not be allocated.
    pub fn out_of_memory(size: usize) -> Self {
        Self::new(format_args!("out of memory, wanted {size} bytes"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for Error {
    fn from(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// A string that never allocates: what does not fit is left out.
struct Sink(String);

impl Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = TEXT_MAX - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        let end = (0..=room).rev().find(|&end| text.is_char_boundary(end));
        self.0.push_str(&text[..end.unwrap_or(0)]);
        Err(fmt::Error)
    }
}

/// Somebody's bytes in an error text: printable ASCII, cut to a readable length.
pub(crate) struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0.iter().take(SHOWN_MAX) {
            let shown = byte.is_ascii_graphic() || byte == b' ';
            formatter.write_char(if shown { byte.into() } else { '?' })?;
        }
        if self.0.len() > SHOWN_MAX {
            formatter.write_str("...")?;
        }
        Ok(())
    }
}
