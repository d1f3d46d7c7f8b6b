//! The credentials that `put` and `tail` sign with: those of the environment, by the names that every AWS tool knows.

use anyhow::{Context, bail};
use baikonur_api::{Credential, Signer};

const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
/// The first that is set names the region.
const REGION: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
/// As `[server]` has it when nothing is said.
const REGION_DEFAULT: &str = "us-east-1";

/// Signs with the environment's credentials; none when it has none.
pub(crate) fn signer_of_environment() -> anyhow::Result<Option<Signer>> {
    signer(|name| std::env::var(name).ok())
}

fn signer(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<Signer>> {
    // An empty one is as good as none, as in the AWS CLI.
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let (id, secret) = match (variable(ACCESS_KEY_ID), variable(SECRET_ACCESS_KEY)) {
        (Some(id), Some(secret)) => (id, secret),
        (None, None) => return Ok(None),
        (Some(_), None) => bail!("{ACCESS_KEY_ID} is set, and {SECRET_ACCESS_KEY} is not"),
        (None, Some(_)) => bail!("{SECRET_ACCESS_KEY} is set, and {ACCESS_KEY_ID} is not"),
    };
    let credential = Credential::new(id, secret, variable(SESSION_TOKEN), None)
        .context("the AWS credentials of the environment cannot be used")?;
    let region = REGION.into_iter().find_map(variable).unwrap_or_else(|| REGION_DEFAULT.to_owned());
    Ok(Some(Signer::new(credential, region)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> anyhow::Result<Option<Signer>> {
        signer(|name| {
            variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_says_how_to_sign() {
        assert!(of(&[]).unwrap().is_none());
        assert!(of(&[(ACCESS_KEY_ID, ""), (SECRET_ACCESS_KEY, "")]).unwrap().is_none());
        let keys = [(ACCESS_KEY_ID, "AKID"), (SECRET_ACCESS_KEY, "hidden")];
        let shown = format!("{:?}", of(&keys).unwrap().unwrap());
        assert!(shown.contains("AKID") && shown.contains("us-east-1"), "{shown}");
        assert!(!shown.contains("hidden"), "{shown}");
        let elsewhere = [&keys[..], &[(REGION[1], "eu-west-1"), (REGION[0], "")]].concat();
        assert!(format!("{:?}", of(&elsewhere).unwrap()).contains("eu-west-1"));
    }

    #[test]
    fn half_a_credential_is_a_mistake() {
        let error = of(&[(ACCESS_KEY_ID, "AKID")]).unwrap_err().to_string();
        assert_eq!(error, "AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not");
        assert!(of(&[(SECRET_ACCESS_KEY, "hidden")]).is_err());
        let error = of(&[(ACCESS_KEY_ID, "A KID"), (SECRET_ACCESS_KEY, "hidden")]).unwrap_err();
        assert!(!format!("{error:#}").contains("hidden"), "{error:#}");
    }
}
