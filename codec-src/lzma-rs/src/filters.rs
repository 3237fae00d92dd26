//! A chain of filters in the form of Python's `lzma` module: a list of objects with numbers.

use chonkle_codec::{Error, Result};

/// Longer than liblzma's chains, so that liblzma reports the error.
const CHAIN_MAX: usize = 8;

pub const LZMA1: u64 = 0x4000_0000_0000_0001;
pub const LZMA2: u64 = 0x21;
/// Python's module cannot make chains with these two.
const ARM64: u64 = 0x0A;
const RISCV: u64 = 0x0B;

/// The numbers of a filter, in the order of `Filter::numbers`.
const NAMES: [&str; 11] = [
    "preset",
    "dict_size",
    "lc",
    "lp",
    "pb",
    "mode",
    "nice_len",
    "mf",
    "depth",
    "dist",
    "start_offset",
];

/// A filter; `given` has a bit for each number that is set. The same structure is in kernel.c.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Filter {
    id: u64,
    given: u32,
    numbers: [u32; NAMES.len()],
}

impl Filter {
    /// Makes LZMA1 or LZMA2 with a preset.
    pub fn of_preset(id: u64, preset: u32) -> Self {
        let mut filter = Self { id, ..Self::default() };
        filter.set(0, preset);
        filter
    }

    /// Whether Python's module decodes it; `is_named`: in a stream that records its filters.
    pub fn is_common(&self, is_named: bool) -> bool {
        match self.id {
            ARM64 => is_named,
            RISCV => false,
            _ => true,
        }
    }

    fn set(&mut self, index: usize, value: u32) {
        self.given |= 1 << index;
        self.numbers[index] = value;
    }
}

/// Parses a chain.
pub fn parse(text: &str) -> Result<Vec<Filter>> {
    let mut reader = Reader { rest: text.as_bytes() };
    reader.chain().filter(|_| reader.rest.is_empty()).ok_or_else(|| {
        Error::new(format_args!(
            "port `filters`: expected a list of objects with an `id` and numbers, as Python has it"
        ))
    })
}

/// Reads JSON of that form; None for anything else.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn chain(&mut self) -> Option<Vec<Filter>> {
        let mut chain = Vec::new();
        self.list(b'[', b']', |reader| {
            chain.push(reader.filter()?);
            (chain.len() <= CHAIN_MAX).then_some(())
        })?;
        Some(chain)
    }

    fn filter(&mut self) -> Option<Filter> {
        let (mut filter, mut id) = (Filter::default(), None);
        self.list(b'{', b'}', |reader| {
            let name = reader.name()?;
            reader.take(b':')?;
            let number = reader.number()?;
            if name == "id" {
                id = Some(number);
            } else {
                let index = NAMES.iter().position(|known| *known == name)?;
                filter.set(index, u32::try_from(number).ok()?);
            }
            Some(())
        })?;
        filter.id = id?;
        Some(filter)
    }

    /// Reads items between two brackets.
    fn list(
        &mut self,
        open: u8,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.take(open)?;
        if self.take(close).is_some() {
            return Some(());
        }
        loop {
            item(self)?;
            if self.take(b',').is_none() {
                return self.take(close);
            }
        }
    }

    /// Takes a character, with white space around it.
    fn take(&mut self, wanted: u8) -> Option<()> {
        self.rest = self.rest.trim_ascii_start().strip_prefix(&[wanted])?.trim_ascii_start();
        Some(())
    }

    fn name(&mut self) -> Option<String> {
        self.take(b'"')?;
        let end = self.rest.iter().position(|byte| *byte == b'"')?;
        let name = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        self.rest = &self.rest[end..];
        self.take(b'"')?;
        Some(name)
    }

    fn number(&mut self) -> Option<u64> {
        let end = self.rest.iter().position(|byte| !byte.is_ascii_digit());
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}
