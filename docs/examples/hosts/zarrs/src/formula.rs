//! Formulas of encoded sizes, computed exactly over a range of sizes.

use num_rational::Ratio;
use num_traits::{CheckedAdd, CheckedDiv, CheckedMul, CheckedSub};

type Number = Ratio<i128>;
/// The least and the greatest value.
pub type Range = (Number, Number);

const CHARACTERS_MAX: usize = 200;
/// Those that bind least come first.
const OPERATORS: [[char; 2]; 2] = [['+', '-'], ['*', '/']];

/// Gives the greatest result, rounded up; `None` if there is none or the formula is malformed.
/// `port` gives the range of a port's value or, with `true`, the size of an element of its type.
pub fn evaluate(formula: &str, port: &dyn Fn(&str, bool) -> Option<Range>) -> Option<u64> {
    let mut reader = Reader { rest: formula.trim_start(), port };
    let (_, most) = (formula.len() <= CHARACTERS_MAX).then(|| reader.read(0))??;
    most.ceil().to_integer().max(0).try_into().ok().filter(|_| reader.rest.is_empty())
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
        if self.take('(').is_none() {
            let number = word.parse().map(|number: i128| (number.into(), number.into()));
            return number.ok().or_else(|| (self.port)(word, false));
        }
        let inner = if word == "size" { (self.port)(self.take_word(), true)? } else { self.read(0)? };
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

/// Each operator has its extremes at the ends of the ranges, unless one divides by 0 between them.
fn combine(operator: char, left: Range, right: Range) -> Option<Range> {
    let has_zero = right.0 <= 0.into() && right.1 >= 0.into();
    let apply = |(one, other): (Number, Number)| match operator {
        '+' => one.checked_add(&other),
        '-' => one.checked_sub(&other),
        '*' => one.checked_mul(&other),
        _ if has_zero => None,
        _ => one.checked_div(&other),
    };
    let ends = [(left.0, right.0), (left.0, right.1), (left.1, right.0), (left.1, right.1)];
    let results: Option<Vec<Number>> = ends.into_iter().map(apply).collect();
    results?.into_iter().map(|each| (each, each)).reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
}
