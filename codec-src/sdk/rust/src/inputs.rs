//! The inputs of a call, by name.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::slice;

use crate::error::{Error, Shown};
use crate::json;

/// Far above any signature; keeps the inputs in a fixed size.
const PORTS_MAX: usize = 64;

/// One port: its name and its bytes, both in memory that outlives the call.
#[derive(Clone, Copy)]
struct Port<'a> {
    name: &'a [u8],
    data: *mut u8,
    size: usize,
}

/// The inputs of a call.
pub struct Inputs<'a> {
    ports: [Option<Port<'a>>; PORTS_MAX],
    count: usize,
}

impl<'a> Inputs<'a> {
    pub(crate) fn new() -> Self {
        Self { ports: [None; PORTS_MAX], count: 0 }
    }

    /// Adds a port.
    ///
    /// # Safety
    ///
    /// `size` bytes at `data` may be read and written while 'a lasts, and belong to no other port.
    pub(crate) unsafe fn add(
        &mut self,
        name: &'a [u8],
        data: *mut u8,
        size: usize,
    ) -> Result<(), Error> {
        if self.position(name).is_some() {
            return Err(Error::new(format_args!("port `{}` occurs twice", Shown(name))));
        }
        let Some(free) = self.ports.get_mut(self.count) else {
            return Err(Error::new(format_args!("too many ports, expected at most {PORTS_MAX}")));
        };
        *free = Some(Port { name, data, size });
        self.count += 1;
        Ok(())
    }

    fn position(&self, name: &[u8]) -> Option<usize> {
        self.ports[..self.count].iter().position(|port| port.is_some_and(|port| port.name == name))
    }

    /// Tells whether the call has a port.
    pub fn has(&self, name: &str) -> bool {
        self.position(name.as_bytes()).is_some()
    }

    /// Gives a port's bytes.
    pub fn bytes(&self, name: &str) -> Result<&[u8], Error> {
        let port = self.position(name.as_bytes()).and_then(|index| self.ports[index]);
        match port {
            // SAFETY: promised to `add`; a port that was taken is not in `ports` any more.
            Some(port) => Ok(unsafe { slice::from_raw_parts(port.data, port.size) }),
            None => Err(Error::new(format_args!("missing port `{name}`"))),
        }
    }

    /// Takes a port's bytes out of the inputs, to change them in place.
    pub fn take(&mut self, name: &str) -> Result<Buffer<'a>, Error> {
        let port = self.position(name.as_bytes()).and_then(|index| self.ports[index].take());
        match port {
            Some(Port { data, size, .. }) => Ok(Buffer { data, size, lifetime: PhantomData }),
            None => Err(Error::new(format_args!("missing port `{name}`"))),
        }
    }

    /// Gives an integer between `minimum` and `maximum`, both included.
    ///
    /// It is JSON text without fraction or exponent: `2.0` and `2e0` are errors.
    pub fn int(&self, name: &str, minimum: i64, maximum: i64) -> Result<i64, Error> {
        let text = self.bytes(name)?;
        match json::int(text) {
            Some(value) if (minimum..=maximum).contains(&value) => Ok(value),
            _ => Err(Error::new(format_args!(
                "port `{name}`: expected an int from {minimum} to {maximum}, got `{}`",
                Shown(text)
            ))),
        }
    }

    /// Gives an unsigned integer up to `maximum`, included.
    pub fn uint(&self, name: &str, maximum: u64) -> Result<u64, Error> {
        let text = self.bytes(name)?;
        match json::uint(text) {
            Some(value) if value <= maximum => Ok(value),
            _ => Err(Error::new(format_args!(
                "port `{name}`: expected a uint from 0 to {maximum}, got `{}`",
                Shown(text)
            ))),
        }
    }

    /// Gives a finite number.
    pub fn float(&self, name: &str) -> Result<f64, Error> {
        self.parsed(name, json::float, "a finite number")
    }

    /// Gives a boolean.
    pub fn bool(&self, name: &str) -> Result<bool, Error> {
        self.parsed(name, json::boolean, "`true` or `false`")
    }

    /// Gives a string, escapes resolved.
    pub fn string(&self, name: &str) -> Result<String, Error> {
        self.parsed(name, json::string, "a JSON string")
    }

    /// Gives a list of unsigned integers.
    pub fn uint_list(&self, name: &str) -> Result<Vec<u64>, Error> {
        self.parsed(name, json::uint_list, "a list of uints")
    }

    /// Gives a value that may be left out, through one of the functions above.
    ///
    /// `inputs.or("level", 1, |inputs, name| inputs.int(name, 0, 9))`
    pub fn or<T>(
        &self,
        name: &str,
        fallback: T,
        read: impl FnOnce(&Self, &str) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.has(name) { read(self, name) } else { Ok(fallback) }
    }

    fn parsed<T>(
        &self,
        name: &str,
        parse: fn(&[u8]) -> Option<T>,
        expected: &str,
    ) -> Result<T, Error> {
        let text = self.bytes(name)?;
        parse(text).ok_or_else(|| {
            Error::new(format_args!("port `{name}`: expected {expected}, got `{}`", Shown(text)))
        })
    }
}

/// A port's bytes, to be changed in place and handed back as the output.
///
/// They are not aligned.
pub struct Buffer<'a> {
    data: *mut u8,
    size: usize,
    lifetime: PhantomData<&'a mut [u8]>,
}

impl Buffer<'_> {
    /// Keeps only the first `size` bytes.
    pub fn truncate(&mut self, size: usize) {
        self.size = self.size.min(size);
    }
}

impl Deref for Buffer<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: promised to `Inputs::add`, and taken out of the inputs since.
        unsafe { slice::from_raw_parts(self.data, self.size) }
    }
}

impl DerefMut for Buffer<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: promised to `Inputs::add`, and taken out of the inputs since.
        unsafe { slice::from_raw_parts_mut(self.data, self.size) }
    }
}
