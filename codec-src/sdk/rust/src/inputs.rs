//! The inputs of a call, by name.

use std::mem::MaybeUninit;
use std::ops::RangeInclusive;
use std::{ptr, slice};

use crate::buffer::Buffer;
use crate::dtype::{self, Dtype};
use crate::error::{Error, Shown, error};
use crate::{Result, json};

/// Far above any signature; gives the inputs a fixed size.
const PORTS_MAX: usize = 64;

/// The port of what [`Inputs::end`] does with bytes after a stream, and its values.
const TRAILING: &str = "trailing";
const IGNORE: &str = "ignore";
const REFUSE: &str = "refuse";

/// The defaults in the signature: lines of `name text`.
#[cfg(target_family = "wasm")]
const DEFAULTS: &str = env!("CHONKLE_DEFAULTS", "the toolchain sets it, from signature.json");
#[cfg(not(target_family = "wasm"))]
const DEFAULTS: &str = "";

/// A port: its name and its bytes, in memory that outlives the call. `data` is null once taken.
#[derive(Clone, Copy)]
struct Port<'a> {
    name: &'a [u8],
    data: *mut u8,
    size: usize,
}

/// The inputs of a call.
///
/// Ports are found by name. It is an error when the call lacks the port, except for a scalar with a
/// default in the signature. Ask for other optional ports with [`Inputs::has`].
///
/// A scalar is JSON text. It is an error when the text has another type or is out of range.
pub struct Inputs<'a> {
    ports: [MaybeUninit<Port<'a>>; PORTS_MAX],
    count: usize,
}

impl<'a> Inputs<'a> {
    pub(crate) fn new() -> Self {
        Self { ports: [const { MaybeUninit::uninit() }; PORTS_MAX], count: 0 }
    }

    /// Adds a port.
    ///
    /// # Safety
    ///
    /// For 'a, `size` bytes at `data` are readable and writable, and belong to no other port.
    pub(crate) unsafe fn add(&mut self, name: &'a [u8], data: *mut u8, size: usize) -> Result {
        if self.find(name).is_some() {
            return Err(error!("port `", Shown(name), "` occurs twice"));
        }
        let Some(free) = self.ports.get_mut(self.count) else {
            return Err("too many ports, expected at most 64".into());
        };
        free.write(Port { name, data, size });
        self.count += 1;
        Ok(())
    }

    fn ports(&mut self) -> &mut [Port<'a>] {
        // SAFETY: the first `count` are set.
        unsafe { slice::from_raw_parts_mut(self.ports.as_mut_ptr().cast(), self.count) }
    }

    fn find(&self, name: &[u8]) -> Option<Port<'a>> {
        // SAFETY: the first `count` are set.
        let ports = unsafe { slice::from_raw_parts(self.ports.as_ptr().cast(), self.count) };
        ports.iter().copied().find(|port: &Port<'a>| port.name == name && !port.data.is_null())
    }

    fn port(&self, name: &str) -> Result<Port<'a>> {
        self.find(name.as_bytes()).ok_or_else(|| missing(name))
    }

    /// A port's bytes, or its default.
    fn text(&self, name: &str) -> Result<&[u8]> {
        match self.find(name.as_bytes()) {
            // SAFETY: promised to `add`; `find` skips ports that were taken.
            Some(port) => Ok(unsafe { slice::from_raw_parts(port.data, port.size) }),
            None => default(name).ok_or_else(|| missing(name)),
        }
    }

    /// Tells whether the call has a port that was not taken.
    pub fn has(&self, name: &str) -> bool {
        self.find(name.as_bytes()).is_some()
    }

    /// Returns a port's bytes. They are not aligned.
    pub fn bytes(&self, name: &str) -> Result<&[u8]> {
        let port = self.port(name)?;
        // SAFETY: promised to `add`; `find` skips ports that were taken.
        Ok(unsafe { slice::from_raw_parts(port.data, port.size) })
    }

    /// Returns a port's bytes; an error when `item_size` is 0 or does not divide their number.
    pub fn items(&self, name: &str, item_size: usize) -> Result<&[u8]> {
        let bytes = self.bytes(name)?;
        expect_whole(name, bytes.len(), item_size)?;
        Ok(bytes)
    }

    /// Takes a port out of the inputs, to change its bytes in place.
    pub fn take(&mut self, name: &str) -> Result<Buffer<'a>> {
        let Port { name, data, size } = self.port(name)?;
        for port in self.ports() {
            if ptr::eq(port.name, name) {
                port.data = ptr::null_mut();
            }
        }
        // SAFETY: promised to `add`; `find` does not return this port again.
        Ok(unsafe { Buffer::new(data, size) })
    }

    /// As [`Inputs::take`], with the checks of [`Inputs::items`].
    pub fn take_items(&mut self, name: &str, item_size: usize) -> Result<Buffer<'a>> {
        expect_whole(name, self.bytes(name)?.len(), item_size)?;
        self.take(name)
    }

    /// Ends a stream of `used` bytes in a port. Bytes after it are an error, unless the port
    /// `trailing` is `"ignore"`; the other value is `"refuse"`.
    pub fn end(&self, name: &str, used: usize) -> Result {
        let rest = self.bytes(name)?.len().saturating_sub(used);
        // Most calls end here.
        if rest == 0 && !self.has(TRAILING) {
            return Ok(());
        }
        let has_choice = self.text(TRAILING).is_ok();
        if (has_choice && self.choice(TRAILING, &[IGNORE, REFUSE])? == 0) || rest == 0 {
            return Ok(());
        }
        let hint = "; hint: the value `ignore` of the parameter `trailing` skips them";
        Err(error!(
            "port `",
            name,
            "`: ",
            rest,
            " bytes after the end of the stream at offset ",
            used,
            if has_choice { hint } else { "" }
        ))
    }

    /// Returns an integer in a range: `inputs.int("level", -1..=9)`.
    ///
    /// It has no fraction and no exponent: `2.0` and `2e0` are errors.
    pub fn int(&self, name: &str, range: RangeInclusive<i64>) -> Result<i64> {
        let text = self.text(name)?;
        json::int(text).filter(|value| range.contains(value)).ok_or_else(|| {
            let (first, last) = (*range.start(), *range.end());
            error!(
                "port `",
                name,
                "`: expected an int from ",
                first,
                " to ",
                last,
                ", got `",
                Shown(text),
                "`"
            )
        })
    }

    /// Returns an integer, with values beyond the range counted as its bounds.
    pub fn clamped_int(&self, name: &str, range: RangeInclusive<i64>) -> Result<i64> {
        Ok(self.int(name, i64::MIN..=i64::MAX)?.clamp(*range.start(), *range.end()))
    }

    /// Returns an unsigned integer in a range: `inputs.uint("width", 1..=65535)`.
    pub fn uint(&self, name: &str, range: RangeInclusive<u64>) -> Result<u64> {
        let text = self.text(name)?;
        json::uint(text).filter(|value| range.contains(value)).ok_or_else(|| {
            let (first, last) = (*range.start(), *range.end());
            error!(
                "port `",
                name,
                "`: expected a uint from ",
                first,
                " to ",
                last,
                ", got `",
                Shown(text),
                "`"
            )
        })
    }

    /// Returns a finite number.
    pub fn float(&self, name: &str) -> Result<f64> {
        self.parsed(name, json::float, "a finite number")
    }

    /// Returns a boolean.
    pub fn bool(&self, name: &str) -> Result<bool> {
        self.parsed(name, json::boolean, "`true` or `false`")
    }

    /// Returns a string, escapes resolved; an error when it contains NUL.
    pub fn string(&self, name: &str) -> Result<String> {
        self.parsed(name, json::string, "a JSON string")
    }

    /// Returns the position of a string in `choices`: in `inputs.choice("endian", &["little",
    /// "big"])`, 1 is big.
    pub fn choice(&self, name: &str, choices: &[&str]) -> Result<usize> {
        let text = self.text(name)?;
        let value = json::string(text);
        let found = choices.iter().position(|choice| value.as_deref() == Some(choice));
        found.ok_or_else(|| {
            Error::write(|sink| {
                let mut put = |text: &str| sink.put(text.into());
                put("port `");
                put(name);
                put("`: expected ");
                for (index, choice) in choices.iter().enumerate() {
                    put(separator(index, choices.len()));
                    put("`\"");
                    put(choice);
                    put("\"`");
                }
                put(", got `");
                sink.put(Shown(text).into());
                sink.put("`".into());
            })
        })
    }

    /// Returns a list of unsigned integers, such as a shape. Their product may overflow: multiply
    /// with `checked_mul`.
    pub fn uint_list(&self, name: &str) -> Result<Vec<u64>> {
        self.parsed(name, json::uint_list, "a list of uints")
    }

    /// Returns the type of elements, from a NumPy type string, such as `"<u2"`, or a name, such as
    /// `"uint16"`. A type without byte order, or with `=`, is little-endian.
    ///
    /// `kinds` are the kinds allowed, such as `"iuf"`; see [`Dtype::kind`]. A structured type is an
    /// error.
    pub fn dtype(&self, name: &str, kinds: &str) -> Result<Dtype> {
        let text = self.text(name)?;
        let found = json::string(text).and_then(|text| Dtype::parse(text.as_bytes(), kinds));
        found.ok_or_else(|| {
            Error::write(|sink| {
                let mut put = |text: &str| sink.put(text.into());
                put("port `");
                put(name);
                put("`: expected a type of ");
                for (index, kind) in kinds.bytes().enumerate() {
                    put(separator(index, kinds.len()));
                    put(dtype::words(kind));
                }
                put(", got `");
                sink.put(Shown(text).into());
                sink.put("`".into());
            })
        })
    }

    fn parsed<T>(&self, name: &str, parse: fn(&[u8]) -> Option<T>, expected: &str) -> Result<T> {
        let text = self.text(name)?;
        parse(text).ok_or_else(|| {
            error!("port `", name, "`: expected ", expected, ", got `", Shown(text), "`")
        })
    }
}

/// Returns what comes before an item of a list in a sentence.
fn separator(index: usize, count: usize) -> &'static str {
    match count - index {
        _ if index == 0 => "",
        1 => " or ",
        _ => ", ",
    }
}

fn default(name: &str) -> Option<&'static [u8]> {
    let line = |line: &'static str| line.strip_prefix(name)?.strip_prefix(' ');
    DEFAULTS.split('\n').find_map(line).map(str::as_bytes)
}

fn missing(name: &str) -> Error {
    error!("missing port `", name, "`")
}

fn expect_whole(name: &str, size: usize, item_size: usize) -> Result {
    if size.checked_rem(item_size) == Some(0) {
        return Ok(());
    }
    Err(error!(
        "port `",
        name, "`: expected whole items of ", item_size, " bytes, got ", size, " bytes"
    ))
}
