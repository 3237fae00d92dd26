//! Element types: NumPy's type strings.

/// The type of an array's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dtype {
    /// NumPy's letter: `b'b'` boolean, `b'i'` integer, `b'u'` unsigned integer, `b'f'` floating
    /// point, `b'c'` complex, `b'm'` timedelta, `b'M'` datetime, `b'S'` bytes, `b'U'` text (UCS-4),
    /// `b'V'` void.
    pub kind: u8,
    /// Bytes per element, 1 to 2^26.
    pub size: usize,
    /// False for elements of one byte.
    pub is_big_endian: bool,
}

/// The largest size of an element, in characters for text; far from any overflow.
const SIZE_MAX: usize = 1 << 24;

/// The start of a type's name in NumPy and Zarr 3 (zarr-specs, v3/data-types), and its kind. The
/// number of bits follows.
const NAMES: [(&[u8], u8); 4] =
    [(b"int", b'i'), (b"uint", b'u'), (b"float", b'f'), (b"complex", b'c')];

/// Describes the types of a kind.
pub(crate) fn words(kind: u8) -> &'static str {
    match kind {
        b'b' => "booleans (`b1`)",
        b'i' => "integers (`i1`, `i2`, `i4`, `i8`)",
        b'u' => "unsigned integers (`u1`, `u2`, `u4`, `u8`)",
        b'f' => "floats (`f2`, `f4`, `f8`)",
        b'c' => "complex numbers (`c8`, `c16`)",
        b'm' => "timedeltas (`m8`)",
        b'M' => "datetimes (`M8`)",
        b'S' => "byte strings (`S`)",
        b'U' => "text (`U`)",
        _ => "raw bytes (`V`)",
    }
}

impl Dtype {
    /// Parses a name, `uint16`, or order, kind, size and, for dates and durations, a unit: `<u2`,
    /// `|b1`, `<M8[ns]`.
    ///
    /// numpy.org/doc/stable/reference/arrays.interface.html, `typestr`.
    pub(crate) fn parse(text: &[u8], kinds: &str) -> Option<Self> {
        let (order, text) = match text.split_first()? {
            (order @ (b'<' | b'>' | b'|' | b'='), rest) => (Some(order), rest),
            _ if text == b"bool" => (None, b"b1".as_slice()),
            _ => (None, text),
        };
        let named = NAMES.iter().find_map(|(name, kind)| Some((*kind, text.strip_prefix(*name)?)));
        let (kind, digits, unit) = match named {
            Some((kind, bits)) if order.is_none() => (kind, bits, 8),
            _ => (*text.first()?, &text[1..], 1),
        };
        let mut size = 0;
        let mut rest = digits;
        while let Some((digit @ b'0'..=b'9', behind)) = rest.split_first() {
            size = (size * 10 + usize::from(digit - b'0')).min(SIZE_MAX + 1);
            rest = behind;
        }
        let is_whole = match rest.split_first() {
            None => true,
            Some((b'[', unit)) => {
                matches!(kind, b'm' | b'M')
                    && unit.strip_suffix(b"]").is_some_and(|unit| !unit.contains(&b']'))
            }
            Some(_) => false,
        };
        let (is_whole, size) = (is_whole && size % unit == 0, size / unit);
        let has_size = match kind {
            b'b' => size == 1,
            b'i' | b'u' => matches!(size, 1 | 2 | 4 | 8),
            b'f' => matches!(size, 2 | 4 | 8),
            b'c' => matches!(size, 8 | 16),
            b'm' | b'M' => size == 8,
            _ => matches!(size, 1..=SIZE_MAX),
        };
        let is_taken = kinds.as_bytes().contains(&kind);
        let characters = if kind == b'U' { 4 } else { 1 };
        (is_whole && has_size && is_taken).then_some(Self {
            kind,
            size: size * characters,
            is_big_endian: order == Some(&b'>') && size > 1,
        })
    }
}
