//! Scalars as JSON text (RFC 8259). Every function gives None for what is not of its type.

/// An integer without fraction or exponent.
pub(crate) fn int(text: &[u8]) -> Option<i64> {
    let text = trim(text);
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    is_magnitude(digits).then(|| str::from_utf8(text).ok()?.parse().ok())?
}

/// An integer that is not negative, without fraction or exponent.
pub(crate) fn uint(text: &[u8]) -> Option<u64> {
    let text = trim(text);
    is_magnitude(text).then(|| str::from_utf8(text).ok()?.parse().ok())?
}

/// `0`, or digits that do not begin with 0.
fn is_magnitude(digits: &[u8]) -> bool {
    !digits.is_empty()
        && digits.iter().all(u8::is_ascii_digit)
        && (digits[0] != b'0' || digits.len() == 1)
}

pub(crate) fn boolean(text: &[u8]) -> Option<bool> {
    match trim(text) {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// A number that is finite as a double.
pub(crate) fn float(text: &[u8]) -> Option<f64> {
    let text = trim(text);
    // The grammar of RFC 8259, section 6; `parse` alone would also take `inf` and `.5`.
    let rest = text.strip_prefix(b"-").unwrap_or(text);
    let (whole, rest) = split_digits(rest);
    if !is_magnitude(whole) {
        return None;
    }
    let rest = match rest.strip_prefix(b".") {
        None => rest,
        Some(rest) => after_digits(rest)?,
    };
    let rest = match rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
        None => rest,
        Some(rest) => {
            let signed = rest.strip_prefix(b"-").or_else(|| rest.strip_prefix(b"+"));
            after_digits(signed.unwrap_or(rest))?
        }
    };
    if !rest.is_empty() {
        return None;
    }
    let value: f64 = str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

fn after_digits(text: &[u8]) -> Option<&[u8]> {
    let (digits, rest) = split_digits(text);
    (!digits.is_empty()).then_some(rest)
}

/// A list of integers that are not negative.
pub(crate) fn uint_list(text: &[u8]) -> Option<Vec<u64>> {
    let inner = trim(trim(text).strip_prefix(b"[")?.strip_suffix(b"]")?);
    let mut values = Vec::new();
    if inner.is_empty() {
        return Some(values);
    }
    values.try_reserve_exact(inner.iter().filter(|&&byte| byte == b',').count() + 1).ok()?;
    for item in inner.split(|&byte| byte == b',') {
        values.push(uint(item)?);
    }
    Some(values)
}

/// A string (section 7) without a NUL in it.
pub(crate) fn string(text: &[u8]) -> Option<String> {
    let inner = str::from_utf8(trim(text).strip_prefix(b"\"")?.strip_suffix(b"\"")?).ok()?;
    let mut value = String::new();
    // Resolving an escape only ever makes the text shorter.
    value.try_reserve_exact(inner.len()).ok()?;
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => value.push(escape(&mut characters)?),
            '"' | '\0'..'\x20' => return None,
            other => value.push(other),
        }
    }
    Some(value)
}

/// What stands behind a backslash. A character beyond U+FFFF comes as two surrogates.
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

/// JSON's white space, which has no form feed.
fn trim(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let start = text.iter().take_while(|byte| is_space(byte)).count();
    let end = text[start..].iter().rev().take_while(|byte| is_space(byte)).count();
    &text[start..text.len() - end]
}
