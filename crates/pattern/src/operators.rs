//! From the list of a field to its matchers: one operator after the other.

use crate::address::{self, Network};
use crate::decimal::Decimal;
use crate::document::Value;
use crate::fault::Problem;
use crate::letter_case::CaseFolded;
use crate::matcher::{AnyOf, Matcher};
use crate::numeric::Numeric;
use crate::wildcard::Wildcard;

/// What the list of a field says.
#[derive(Debug, Clone, Default)]
pub(crate) struct FieldList {
    /// What a value may be.
    pub(crate) present: AnyOf,
    /// `{"exists": false}` is in the list.
    pub(crate) may_be_absent: bool,
}

impl FieldList {
    /// Reads the list of a field.
    ///
    /// # Errors
    /// The first member that is no matcher.
    pub(crate) fn read(members: &[Value]) -> Result<Self, Problem> {
        if members.is_empty() {
            return Err(Problem::EmptyArray);
        }
        let mut list = Self::default();
        for member in members {
            list.push(member)?;
        }
        Ok(list)
    }

    fn push(&mut self, member: &Value) -> Result<(), Problem> {
        match member {
            Value::Text(text) => match address::address(text.as_bytes()) {
                Some(address) => self.present.push(Matcher::Address(address)),
                None => self.present.push_text(text),
            },
            Value::Number(number) => {
                self.present.push(Matcher::Number(Decimal::read(number.as_bytes())));
            }
            Value::True => self.present.push(Matcher::True),
            Value::False => self.present.push(Matcher::False),
            Value::Null => self.present.push(Matcher::Null),
            Value::Array(_) => return Err(Problem::NotAMatchValue),
            Value::Object(members) => {
                let (operator, operand) = only_member(members)?;
                self.push_expression(operator, operand)?;
            }
        }
        Ok(())
    }

    fn push_expression(&mut self, operator: &str, operand: &Value) -> Result<(), Problem> {
        let matcher = match operator {
            "exactly" => {
                self.present.push_text(text(operand, "exact")?);
                return Ok(());
            }
            "exists" => match operand {
                Value::True => Matcher::Exists,
                Value::False => {
                    self.may_be_absent = true;
                    return Ok(());
                }
                _ => return Err(Problem::ExistsValue),
            },
            "prefix" => match operand {
                Value::Object(members) => {
                    Matcher::PrefixIgnoringCase(ignoring_case(members, "prefix")?)
                }
                _ => Matcher::Prefix(text(operand, "prefix")?.as_bytes().into()),
            },
            "suffix" => match operand {
                Value::Object(members) => {
                    Matcher::SuffixIgnoringCase(ignoring_case(members, "suffix")?)
                }
                _ => Matcher::Suffix(text(operand, "suffix")?.as_bytes().into()),
            },
            "equals-ignore-case" => {
                Matcher::IgnoringCase(CaseFolded::new(text(operand, "equals-ignore-case")?))
            }
            "wildcard" => Matcher::Wildcard(Wildcard::read(text(operand, "wildcard")?)?),
            "numeric" => Matcher::Numeric(Numeric::read(operand)?),
            // "prefix" is what the original says as well.
            "cidr" => Matcher::Cidr(Network::read(text(operand, "prefix")?)?),
            "anything-but" => Matcher::AnythingBut(anything_but(operand)?),
            other => return Err(Problem::MatchType(other.to_owned())),
        };
        self.present.push(matcher);
        Ok(())
    }
}

/// An operator and its operand.
fn only_member(members: &[(String, Value)]) -> Result<(&str, &Value), Problem> {
    match members {
        [(operator, operand)] => Ok((operator, operand)),
        [] => Err(Problem::NoMatchType),
        _ => Err(Problem::ManyMatchTypes),
    }
}

fn text<'v>(operand: &'v Value, operator: &'static str) -> Result<&'v str, Problem> {
    match operand {
        Value::Text(text) => Ok(text),
        _ => Err(Problem::NotAString(operator)),
    }
}

/// `{"equals-ignore-case": text}` in a prefix or suffix.
fn ignoring_case(members: &[(String, Value)], outer: &'static str) -> Result<CaseFolded, Problem> {
    match only_member(members)? {
        ("equals-ignore-case", operand) => {
            Ok(CaseFolded::new(text(operand, "equals-ignore-case")?))
        }
        (other, _) => Err(Problem::UnsupportedPattern { outer, inner: other.to_owned() }),
    }
}

/// What values must not be.
fn anything_but(operand: &Value) -> Result<AnyOf, Problem> {
    let mut list = AnyOf::default();
    match operand {
        Value::Object(members) => {
            let (operator, operand) = only_member(members)?;
            let operands = match operand {
                Value::Array(operands) if operands.is_empty() => return Err(Problem::EmptyArray),
                Value::Array(operands) => operands,
                Value::Text(_) | Value::Number(_) => std::slice::from_ref(operand),
                _ => return Err(Problem::AnythingButValue),
            };
            for operand in operands {
                list.push(anything_but_expression(operator, operand)?);
            }
        }
        Value::Array(operands) => {
            let numbers = operands.iter().filter(|one| matches!(one, Value::Number(_))).count();
            let texts = operands.iter().filter(|one| matches!(one, Value::Text(_))).count();
            if numbers + texts < operands.len() {
                return Err(Problem::AnythingButMember);
            }
            if operands.is_empty() {
                return Err(Problem::EmptyArray);
            }
            if numbers > 0 && texts > 0 {
                return Err(Problem::AnythingButMixed);
            }
            operands.iter().for_each(|operand| push_literal(&mut list, operand));
        }
        Value::Text(_) | Value::Number(_) => push_literal(&mut list, operand),
        Value::True | Value::False | Value::Null => return Err(Problem::AnythingButValue),
    }
    Ok(list)
}

fn push_literal(list: &mut AnyOf, operand: &Value) {
    match operand {
        Value::Text(text) => list.push_text(text),
        Value::Number(number) => list.push(Matcher::Number(Decimal::read(number.as_bytes()))),
        _ => {}
    }
}

fn anything_but_expression(operator: &str, operand: &Value) -> Result<Matcher, Problem> {
    let part = || match operand {
        Value::Text(text) if text.is_empty() => Err(Problem::EmptyPrefixOrSuffix),
        operand => Ok(text(operand, "prefix/suffix")?.as_bytes().into()),
    };
    Ok(match operator {
        "prefix" => Matcher::Prefix(part()?),
        "suffix" => Matcher::Suffix(part()?),
        "wildcard" => Matcher::Wildcard(Wildcard::read(text(operand, "wildcard")?)?),
        "equals-ignore-case" => match operand {
            Value::Text(text) => Matcher::IgnoringCase(CaseFolded::new(text)),
            _ => return Err(Problem::AnythingButIgnoreCaseMember),
        },
        other => {
            return Err(Problem::UnsupportedPattern {
                outer: "anything-but",
                inner: other.to_owned(),
            });
        }
    })
}
