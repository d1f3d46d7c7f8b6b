//! The table in which a structure of the API is written down: members, types and constraints.

/// Declares a structure: each line is a field, its type, its name on the wire and its constraints.
///
/// Reading ignores unknown members and takes null for absent; of a repeated member the last counts.
macro_rules! structure {
    (
        $(#[$doc:meta])*
        $visibility:vis struct $name:ident<$life:lifetime> {
            $($field_visibility:vis $field:ident: $type:ty = $member:literal [$($rule:expr),*],)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        $visibility struct $name<$life> {
            $($field_visibility $field: Option<$type>,)*
        }

        impl<$life> serde::Deserialize<$life> for $name<$life> {
            fn deserialize<D: serde::Deserializer<$life>>(deserializer: D) -> Result<Self, D::Error> {
                struct Members;

                impl<$life> serde::de::Visitor<$life> for Members {
                    type Value = $name<$life>;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a Structure")
                    }

                    fn visit_map<A: serde::de::MapAccess<$life>>(
                        self,
                        mut members: A,
                    ) -> Result<Self::Value, A::Error> {
                        let mut read = $name::default();
                        while let Some(name) = members.next_key::<$crate::wire::members::Text<$life>>()? {
                            match name.as_str() {
                                $($member => read.$field = members.next_value()?,)*
                                _ => {
                                    members.next_value::<serde::de::IgnoredAny>()?;
                                }
                            }
                        }
                        Ok(read)
                    }

                    /// A null among the elements of a list: a structure without members.
                    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
                        Ok($name::default())
                    }

                    $crate::wire::structure::structure!(@refuse visit_str, &str);
                    $crate::wire::structure::structure!(@refuse visit_bytes, &[u8]);
                    $crate::wire::structure::structure!(@refuse visit_bool, bool);
                    $crate::wire::structure::structure!(@refuse visit_i64, i64);
                    $crate::wire::structure::structure!(@refuse visit_u64, u64);
                    $crate::wire::structure::structure!(@refuse visit_f64, f64);

                    fn visit_seq<A: serde::de::SeqAccess<$life>>(
                        self,
                        _: A,
                    ) -> Result<Self::Value, A::Error> {
                        let message = $crate::wire::members::LIST_START;
                        Err(serde::de::Error::custom(message))
                    }
                }

                deserializer.deserialize_any(Members)
            }
        }

        impl $crate::wire::constraint::Constrained for $name<'_> {
            fn check(
                &self,
                _: &[$crate::wire::constraint::Rule],
                path: &$crate::wire::constraint::Path<'_>,
                violations: &mut $crate::wire::constraint::Violations,
            ) {
                $(
                    let member = $crate::wire::constraint::Path::Member(path, $member);
                    self.$field.check(&[$($rule),*], &member, violations);
                )*
            }
        }
    };
    (@refuse $visit:ident, $type:ty) => {
        fn $visit<E: serde::de::Error>(self, _: $type) -> Result<Self::Value, E> {
            Err(E::custom($crate::wire::members::SCALAR_FOR_STRUCTURE))
        }
    };
}

pub(crate) use structure;

#[cfg(test)]
mod tests {
    use crate::wire::constraint::{Constrained, Length, Path, Required, Violations};
    use crate::wire::json::parse;
    use crate::wire::members::{Integer, Text};

    structure! {
        struct Inner<'a> {
            word: Text<'a> = "Word" [Required, Length(1, 3)],
        }
    }

    structure! {
        struct Outer<'a> {
            count: Integer = "Count" [],
            inner: Inner<'a> = "Inner" [Required],
        }
    }

    #[test]
    fn unknown_and_null_members_are_ignored_and_the_last_of_a_name_counts() {
        let body = br#"{"X":[{"Y":1}],"Count":null,"Inner":{"Word":"a"},"Count":1,"Count":2}"#;
        let outer: Outer<'_> = parse(body).unwrap();
        assert_eq!(outer.count, Some(Integer(2)));
        assert_eq!(outer.inner.unwrap().word.unwrap().as_str(), "a");
    }

    #[test]
    fn other_types_are_refused() {
        let message =
            |body: &'static str| parse::<Outer<'_>>(body.as_bytes()).unwrap_err().message.unwrap();
        assert_eq!(message(r#"{"Inner":1}"#), "Expected null");
        assert_eq!(message(r#"{"Inner":[]}"#), "Start of list found where not expected");
        assert_eq!(
            message("{\n\"Count\":{}}"),
            "Start of structure or map found where not expected."
        );
    }

    #[test]
    fn constraints_reach_into_structures() {
        let outer: Outer<'_> = parse(br#"{"Inner":{"Word":"long"}}"#).unwrap();
        let mut violations = Violations::default();
        outer.check(&[], &Path::Request, &mut violations);
        let message = violations.into_result().unwrap_err().message.unwrap();
        assert!(message.contains("Value 'long' at 'inner.word' failed"), "{message}");
    }
}
