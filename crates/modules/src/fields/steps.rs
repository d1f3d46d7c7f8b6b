//! The way to a field, to be compared with the paths of `redact`.

use std::collections::BTreeSet;

/// One step of a way that leads to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// A name, or several with dots between them.
    pub(crate) name: String,
    /// Whether it may be a place in a list instead: paths pass through lists without a name for it.
    pub(crate) may_be_a_place: bool,
}

/// Whether `steps` lead to the field that `names` lead to, or to one below it.
pub(super) fn lead_to(steps: &[Step], names: &[String]) -> bool {
    let whole = format!("{}.", names.join("."));
    // How much of it the steps up to now may have gone: each place in a list makes two ways.
    let mut gone = BTreeSet::from([0]);
    for step in steps {
        let name = format!("{}.", step.name);
        let mut next = if step.may_be_a_place { gone.clone() } else { BTreeSet::new() };
        for at in gone {
            let rest = &whole[at..];
            if name.starts_with(rest) {
                return true;
            }
            if rest.starts_with(&name) {
                next.insert(at + name.len());
            }
        }
        gone = next;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps as a JSON pointer has them.
    fn leads(pointer: &str, path: &str) -> bool {
        let step = |name: &str| Step {
            name: name.to_owned(),
            may_be_a_place: name.bytes().all(|byte| byte.is_ascii_digit()),
        };
        let steps: Vec<_> = pointer.split('/').map(step).collect();
        let names: Vec<_> = path.split('.').map(str::to_owned).collect();
        lead_to(&steps, &names)
    }

    #[test]
    fn a_number_is_a_name_or_a_place_in_a_list() {
        for (pointer, path) in [
            ("a", "a"),
            ("a/b", "a"),
            ("a.b", "a"),
            ("a.b/c", "a.b.c"),
            ("users/0/email", "users.email"),
            ("users/0/email", "users.0.email"),
            ("users/0/1/email", "users.1"),
            ("users/0/1/email", "users.0.email"),
            ("users/0", "users"),
        ] {
            assert!(leads(pointer, path), "{pointer} {path}");
        }
        for (pointer, path) in [
            ("a", "a.b"),
            ("ab", "a"),
            ("a", "ab"),
            ("users/0/email", "users.1"),
            ("users/x/email", "users.email"),
            ("users/0", "users.email"),
        ] {
            assert!(!leads(pointer, path), "{pointer} {path}");
        }
        // A number may be left out each time, in any of very many ways.
        assert!(leads(&"7/".repeat(60).replace("7/7", "7/a/7"), "a.a.a.a"));
    }
}
