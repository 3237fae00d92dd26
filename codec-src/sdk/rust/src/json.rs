//! Scalars as JSON text (RFC 8259). Each function returns None for text of another type.

use crate::float;

/// An integer without fraction or exponent.
pub(crate) fn int(text: &[u8]) -> Option<i64> {
    match trim(text).strip_prefix(b"-") {
        Some(digits) => 0i64.checked_sub_unsigned(magnitude(digits)?),
        None => magnitude(trim(text))?.try_into().ok(),
    }
}

/// An unsigned integer without fraction or exponent.
pub(crate) fn uint(text: &[u8]) -> Option<u64> {
    magnitude(trim(text))
}

fn magnitude(digits: &[u8]) -> Option<u64> {
    let add = |value: u64, digit: &u8| value.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    is_magnitude(digits).then(|| digits.iter().try_fold(0, add))?
}

/// `0`, or digits that do not begin with 0.
fn is_magnitude(digits: &[u8]) -> bool {
    digits.iter().all(u8::is_ascii_digit)
        && match digits {
            [] => false,
            [first, rest @ ..] => *first != b'0' || rest.is_empty(),
        }
}

pub(crate) fn boolean(text: &[u8]) -> Option<bool> {
    match trim(text) {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// A number that is a finite double.
pub(crate) fn float(text: &[u8]) -> Option<f64> {
    float::parse(trim(text))
}

/// A list of unsigned integers.
pub(crate) fn uint_list(text: &[u8]) -> Option<Vec<u64>> {
    let inner = trim(trim(text).strip_prefix(b"[")?.strip_suffix(b"]")?);
    let mut values = Vec::new();
    if inner.is_empty() {
        return Some(values);
    }
    values.try_reserve_exact(inner.iter().filter(|&&byte| byte == b',').count() + 1).ok()?;
    for item in inner.split(|&byte| byte == b',') {
        push(&mut values, uint(item)?)?;
    }
    Some(values)
}

/// A string (section 7) without NUL.
pub(crate) fn string(text: &[u8]) -> Option<String> {
    let inner = str::from_utf8(trim(text).strip_prefix(b"\"")?.strip_suffix(b"\"")?).ok()?;
    let mut value = Vec::new();
    // An escape is longer than the character.
    value.try_reserve_exact(inner.len()).ok()?;
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        let character = match character {
            '\\' => escape(&mut characters)?,
            '"' | '\0'..'\x20' => return None,
            other => other,
        };
        for &byte in character.encode_utf8(&mut [0; 4]).as_bytes() {
            push(&mut value, byte)?;
        }
    }
    // SAFETY: whole characters.
    Some(unsafe { String::from_utf8_unchecked(value) })
}

/// Appends to a vector with room; `Vec::push` would link the code that grows a vector.
fn push<T>(values: &mut Vec<T>, value: T) -> Option<()> {
    values.spare_capacity_mut().first_mut()?.write(value);
    // SAFETY: written above.
    unsafe { values.set_len(values.len() + 1) };
    Some(())
}

/// The rest of an escape after its backslash. A character above U+FFFF is two surrogates.
fn escape(characters: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match characters.next()? {
        'b' => '\x08',
        'f' => '\x0C',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let mut code = hex(characters)?;
            if (0xD800..0xDC00).contains(&code) {
                if characters.next()? != '\\' || characters.next()? != 'u' {
                    return None;
                }
                let low = hex(characters)?;
                if !(0xDC00..0xE000).contains(&low) {
                    return None;
                }
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            }
            char::from_u32(code).filter(|&character| character != '\0')?
        }
        plain @ ('"' | '\\' | '/') => plain,
        _ => return None,
    })
}

fn hex(characters: &mut std::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |code, _| Some(code << 4 | characters.next()?.to_digit(16)?))
}

/// Removes JSON's white space, which has no form feed.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..]
    | [rest @ .., b' ' | b'\t' | b'\n' | b'\r'] = text
    {
        text = rest;
    }
    text
}
