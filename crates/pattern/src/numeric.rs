//! `numeric`: equal to a number, or between two.

use std::cmp::Ordering;

use crate::decimal::Decimal;
use crate::document::Value;
use crate::fault::Problem;

/// What numbers are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Numeric {
    Equal(Decimal),
    Between { bottom: Option<Bound>, top: Option<Bound> },
}

/// An end of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bound {
    at: Decimal,
    is_open: bool,
}

impl Numeric {
    /// Reads `["=", n]`, `[op, n]`, or a lower bound with an upper one behind it.
    pub(crate) fn read(value: &Value) -> Result<Self, Problem> {
        let Value::Array(members) = value else { return Err(Problem::NumericNotArray) };
        let mut members = members.iter();
        let operator = match members.next() {
            Some(Value::Text(operator)) => operator.as_str(),
            Some(other) => return Err(Problem::NumericMember(other.to_string())),
            None => return Err(Problem::NumericMember("]".to_owned())),
        };
        let is_bottom = match operator {
            "=" | "<" | "<=" => false,
            ">" | ">=" => true,
            other => return Err(Problem::NumericOperator(other.to_owned())),
        };
        let at = number(members.next(), if operator == "=" { "equals" } else { operator })?;
        let bound = Bound { at: at.clone(), is_open: !operator.ends_with('=') };
        let next = match members.next() {
            None if operator == "=" => return Ok(Self::Equal(at)),
            None if is_bottom => return Ok(Self::Between { bottom: Some(bound), top: None }),
            None => return Ok(Self::Between { bottom: None, top: Some(bound) }),
            Some(_) if !is_bottom => return Err(Problem::NumericTooMany),
            Some(Value::Text(operator)) => operator.as_str(),
            Some(other) => return Err(Problem::NumericRangeValue(other.to_string())),
        };
        if !matches!(next, "<" | "<=") {
            return Err(Problem::NumericRangeOperator(next.to_owned()));
        }
        let at = number(members.next(), next)?;
        if members.next().is_some() {
            return Err(Problem::NumericTooMany);
        }
        if bound.at.cmp(&at).is_ge() {
            return Err(Problem::NumericBottom);
        }
        let top = Bound { at, is_open: next == "<" };
        Ok(Self::Between { bottom: Some(bound), top: Some(top) })
    }

    /// Whether a number of JSON is taken.
    pub(crate) fn takes(&self, number: &[u8]) -> bool {
        let inside = |bound: &Option<Bound>, side: Ordering| {
            bound.as_ref().is_none_or(|bound| match bound.at.order_of(number) {
                Ordering::Equal => !bound.is_open,
                order => order == side,
            })
        };
        match self {
            Self::Equal(at) => at.order_of(number).is_eq(),
            Self::Between { bottom, top } => {
                inside(bottom, Ordering::Greater) && inside(top, Ordering::Less)
            }
        }
    }
}

fn number(member: Option<&Value>, operator: &str) -> Result<Decimal, Problem> {
    match member {
        Some(Value::Number(number)) => Ok(Decimal::read(number.as_bytes())),
        _ => Err(Problem::NumericValue(operator.to_owned())),
    }
}
