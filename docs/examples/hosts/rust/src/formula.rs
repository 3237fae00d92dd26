//! Formulas of encoded sizes, computed exactly over a range of sizes.

use num_rational::Ratio;
use num_traits::{CheckedAdd, CheckedDiv, CheckedMul, CheckedSub};

/// The least and the greatest value.
pub type Range = [Ratio<i128>; 2];

/// Gives the greatest result, rounded up; `None` if there is none or the formula is malformed.
/// `port` gives the range of a port's value or, with `true`, the size of an element of its type.
pub fn evaluate(formula: &str, port: &dyn Fn(&str, bool) -> Option<Range>) -> Option<u64> {
    let [_, most] = (formula.len() <= 200).then(|| read(formula, port))??;
    most.ceil().to_integer().max(0).try_into().ok()
}

fn read(text: &str, port: &dyn Fn(&str, bool) -> Option<Range>) -> Option<Range> {
    // The last operator outside of parentheses, of those that bind least, is what the whole is.
    for operators in [['+', '-'], ['*', '/']] {
        let mut depth = 0;
        let mut found = text.rmatch_indices(|each| {
            depth += i32::from(each == ')') - i32::from(each == '(');
            depth == 0 && operators.contains(&each)
        });
        if let Some((at, operator)) = found.next() {
            return combine(operator, read(&text[..at], port)?, read(&text[at + 1..], port)?);
        }
    }
    let text = text.trim();
    let Some(call) = text.strip_suffix(')') else {
        return text.parse().map_or_else(|_| port(text, false), |number: u64| Some([i128::from(number).into(); 2]));
    };
    match call.split_once('(').map(|(name, inner)| (name.trim(), inner)) {
        Some(("size", name)) => port(name.trim(), true),
        Some(("ceil", inner)) => Some(read(inner, port)?.map(|end| end.ceil())),
        Some(("", inner)) => read(inner, port),
        _ => None,
    }
}

/// Each operator has its extremes at the ends of the ranges, unless one divides by 0 between them.
fn combine(operator: &str, left: Range, right: Range) -> Option<Range> {
    let is_by_zero = operator == "/" && right[0] <= 0.into() && right[1] >= 0.into();
    let apply = |(one, other): (usize, usize)| match operator {
        "+" => left[one].checked_add(&right[other]),
        "-" => left[one].checked_sub(&right[other]),
        "*" => left[one].checked_mul(&right[other]),
        _ => left[one].checked_div(&right[other]),
    };
    let ends: Option<Vec<_>> = [(0, 0), (0, 1), (1, 0), (1, 1)].into_iter().map(apply).collect();
    // Rounding adds the denominator, and would overflow near the ends of the type.
    let is_near = |end: &Ratio<i128>| [end.numer(), end.denom()].iter().all(|part| part.unsigned_abs() <= 1 << 100);
    let ends = ends.filter(|ends| !is_by_zero && ends.iter().all(is_near))?;
    Some([*ends.iter().min()?, *ends.iter().max()?])
}
