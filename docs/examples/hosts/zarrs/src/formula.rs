//! Formulas of encoded sizes, computed exactly over a range of sizes.

use num_rational::BigRational;
use num_traits::{ToPrimitive, Zero};

/// The least and the greatest value.
pub type Range = (BigRational, BigRational);

const CHARACTERS_MAX: usize = 200;
/// Those that bind least come first.
const OPERATORS: [[char; 2]; 2] = [['+', '-'], ['*', '/']];

/// Gives the greatest result, rounded up; `None` if a value is missing or the formula is malformed.
/// `port` gives the range of a port's value or, with `true`, the size of an element of its type.
pub fn evaluate(formula: &str, port: &dyn Fn(&str, bool) -> Option<Range>) -> Option<u64> {
    let mut reader = Reader { rest: formula.trim_start(), port };
    let (_, most) = (formula.len() <= CHARACTERS_MAX).then(|| reader.read(0))??;
    most.ceil().to_integer().max(Zero::zero()).to_u64().filter(|_| reader.rest.is_empty())
}

struct Reader<'a> {
    rest: &'a str,
    port: &'a dyn Fn(&str, bool) -> Option<Range>,
}

impl<'a> Reader<'a> {
    fn read(&mut self, level: usize) -> Option<Range> {
        let Some(operators) = OPERATORS.get(level) else { return self.read_atom() };
        let mut left = self.read(level + 1)?;
        while let Some(operator) = operators.iter().find(|each| self.take(**each).is_some()) {
            left = combine(*operator, left, self.read(level + 1)?)?;
        }
        Some(left)
    }

    fn read_atom(&mut self) -> Option<Range> {
        let word = self.take_word();
        if word.starts_with(|first: char| first.is_ascii_digit()) {
            let number = BigRational::from_integer(word.parse().ok()?);
            return Some((number.clone(), number));
        } else if self.take('(').is_none() {
            return (self.port)(word, false);
        }
        let inner = match word {
            "size" => (self.port)(self.take_word(), true)?,
            _ => self.read(0)?,
        };
        self.take(')')?;
        match word {
            "" | "size" => Some(inner),
            "ceil" => Some((inner.0.ceil(), inner.1.ceil())),
            _ => None,
        }
    }

    fn take(&mut self, expected: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(expected)?.trim_start();
        Some(())
    }

    fn take_word(&mut self) -> &'a str {
        let is_end = |each: char| !each.is_ascii_alphanumeric() && each != '_';
        let (word, rest) = self.rest.split_at(self.rest.find(is_end).unwrap_or(self.rest.len()));
        self.rest = rest.trim_start();
        word
    }
}

/// Each operator has its extremes at the ends of the ranges.
fn combine(operator: char, left: Range, right: Range) -> Option<Range> {
    if operator == '/' && right.0 <= Zero::zero() && right.1 >= Zero::zero() {
        return None;
    }
    let ends = [(&left.0, &right.0), (&left.0, &right.1), (&left.1, &right.0), (&left.1, &right.1)];
    let results = ends.map(|(one, other)| match operator {
        '+' => one + other,
        '-' => one - other,
        '*' => one * other,
        _ => one / other,
    });
    Some((results.iter().min()?.clone(), results.iter().max()?.clone()))
}
