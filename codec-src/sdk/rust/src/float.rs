//! Floats: JSON text (RFC 8259, section 6) to the nearest double.
//!
//! Ken Thompson's method: an array of all decimal digits is multiplied or divided by powers of two
//! until its integer part has 53 bits. It is exact and a fifteenth of the size of `str::parse` with
//! its tables. Usual numbers take microseconds, the worst a fraction of a millisecond.

/// Characters; a double needs fewer.
const TEXT_MAX: usize = 400;
/// Dividing by 2 adds a digit, at most 1024 times.
const DIGITS_MAX: usize = TEXT_MAX + 1100;
/// Infinity from 10^310, 0 below 10^-330.
const POINT_MAX: i32 = 310;
const POINT_MIN: i32 = -330;
/// Bits at a time: 9 << 27 plus a carry fits 32 bits.
const SHIFT_MAX: i32 = 27;
const MANTISSA_BITS: i32 = 53;
/// Of normal doubles, as a fraction from 0.5 to 1.
const EXPONENT_MIN: i32 = -1021;
/// Infinity above it.
const EXPONENT_MAX: i32 = 1024;
/// Of the last bit of subnormal doubles.
const UNIT_MIN: i32 = -1074;

/// 0.d1 d2 d3 ... times 10^point, without leading or trailing zeros.
struct Decimal {
    digits: [u8; DIGITS_MAX],
    count: usize,
    point: i32,
}

impl Decimal {
    fn digit(&self, index: usize) -> u32 {
        let digits = self.digits.get(..self.count);
        digits.and_then(|digits| digits.get(index)).map_or(0, |&digit| digit.into())
    }

    fn set(&mut self, index: usize, digit: u32) {
        if let Some(place) = self.digits.get_mut(index) {
            *place = digit as u8;
        }
    }

    fn trim(&mut self) {
        while self.count > 0 && self.digit(self.count - 1) == 0 {
            self.count -= 1;
        }
    }

    fn multiply(&mut self, bits: i32) {
        let mut carry = 0;
        for index in (0..self.count).rev() {
            carry += self.digit(index) << bits;
            self.set(index, carry % 10);
            carry /= 10;
        }
        while carry > 0 {
            self.digits.copy_within(..self.count.min(DIGITS_MAX - 1), 1);
            self.count += 1;
            self.set(0, carry % 10);
            self.point += 1;
            carry /= 10;
        }
        self.trim();
    }

    fn divide(&mut self, bits: i32) {
        let (mut rest, mut written, mut index) = (0, 0, 0);
        while index < self.count || rest > 0 {
            rest = rest * 10 + self.digit(index);
            index += 1;
            let digit = rest >> bits;
            rest &= (1 << bits) - 1;
            if written > 0 || digit > 0 {
                self.set(written, digit);
                written += 1;
            } else {
                self.point -= 1;
            }
        }
        self.count = written;
        self.trim();
    }

    fn into_double(mut self) -> f64 {
        if self.count == 0 || self.point < POINT_MIN {
            return 0.0;
        }
        if self.point > POINT_MAX {
            return f64::INFINITY;
        }
        // The result is the decimal times 2^exponent.
        let mut exponent = 0;
        while self.point > 0 {
            let bits = bits_of(self.point);
            self.divide(bits);
            exponent += bits;
        }
        // Until it is at least a half.
        while self.point < 0 || self.digit(0) < 5 {
            let bits = bits_of(-self.point).max(1);
            self.multiply(bits);
            exponent -= bits;
        }
        let bits = MANTISSA_BITS - (EXPONENT_MIN - exponent).max(0);
        if bits < 0 {
            return 0.0;
        }
        let first = bits.min(SHIFT_MAX);
        self.multiply(first);
        self.multiply(bits - first);
        let point = self.point as usize;
        let digits = (0..point).map(|index| u64::from(self.digit(index)));
        let mut integer = digits.fold(0, |integer, digit| integer * 10 + digit);
        // Round half to even.
        let rest = self.digit(point);
        let is_middle = rest == 5 && point + 1 == self.count;
        if if is_middle { integer % 2 == 1 } else { rest >= 5 } {
            integer += 1;
        }
        if exponent > EXPONENT_MAX {
            return f64::INFINITY;
        }
        // IEEE 754: the leading bit of the integer, if set, adds 1 to the exponent.
        f64::from_bits((((exponent - bits - UNIT_MIN) as u64) << (MANTISSA_BITS - 1)) + integer)
    }
}

/// How many bits to shift to move the point towards 0.
fn bits_of(point: i32) -> i32 {
    if point > SHIFT_MAX / 3 { SHIFT_MAX } else { 3 * point }
}

/// Parses a number that is a finite double.
pub(crate) fn parse(text: &[u8]) -> Option<f64> {
    if text.len() > TEXT_MAX {
        return None;
    }
    let mut number = Decimal { digits: [0; DIGITS_MAX], count: 0, point: 0 };
    let (is_negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let rest = match text {
        // No digit follows a leading zero.
        [b'0', rest @ ..] => rest,
        _ => take_digits(text, &mut number, false)?,
    };
    let rest = match rest {
        [b'.', rest @ ..] => take_digits(rest, &mut number, true)?,
        _ => rest,
    };
    number.point += match rest {
        [] => 0,
        [b'e' | b'E', b'-', digits @ ..] => -exponent(digits)?,
        [b'e' | b'E', b'+', digits @ ..] | [b'e' | b'E', digits @ ..] => exponent(digits)?,
        _ => return None,
    };
    number.trim();
    let value = number.into_double();
    value.is_finite().then_some(if is_negative { -value } else { value })
}

/// Takes one or more digits, before or after the decimal point; returns the rest.
fn take_digits<'a>(text: &'a [u8], number: &mut Decimal, is_behind: bool) -> Option<&'a [u8]> {
    let mut rest = text;
    while let [digit @ b'0'..=b'9', behind @ ..] = rest {
        let is_leading = number.count == 0 && *digit == b'0';
        if !is_leading {
            number.set(number.count, (digit - b'0').into());
            number.count += 1;
        }
        number.point += i32::from(!is_leading) - i32::from(is_behind);
        rest = behind;
    }
    (rest.len() < text.len()).then_some(rest)
}

fn exponent(digits: &[u8]) -> Option<i32> {
    // Beyond any double.
    const LARGEST: i32 = 10_000;
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let add = |value: i32, digit: &u8| (value * 10 + i32::from(digit - b'0')).min(LARGEST);
    is_number.then(|| digits.iter().fold(0, add))
}
