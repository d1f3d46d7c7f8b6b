//! Each reason to refuse, in its words.

use super::*;

const MISMATCH: &str = "InvalidSignatureException: The request signature we calculated does not match the \
    signature you provided. Check your AWS Secret Access Key and signing method. Consult the service \
    documentation for details.";
const INVALID_TOKEN: &str =
    "UnrecognizedClientException: The security token included in the request is invalid.";

fn refused(signed: &Signed) -> String {
    signed.check(&authenticator(), signed_at()).unwrap_err()
}

fn plain() -> Signed {
    vector("plain")
}

fn with_authorization(from: &str, to: &str) -> Signed {
    plain().with_header("Authorization", |value| {
        assert!(value.contains(from), "{value}");
        value.replacen(from, to, 1)
    })
}

#[test]
fn what_does_not_look_signed_is_refused_first() {
    let none = plain().without_header("Authorization");
    assert_eq!(refused(&none), "MissingAuthenticationTokenException: Missing Authentication Token");
    let incomplete = with_authorization("Signature=", "x=");
    assert!(
        refused(&incomplete)
            .starts_with("IncompleteSignatureException: Authorization header requires 'Signature'")
    );
}

#[test]
fn a_wrong_secret_and_an_unknown_key_are_told_apart() {
    assert_eq!(refused(&Signed { body: "{}".into(), ..plain() }), MISMATCH);
    let mut others = Credentials::default();
    let other = Credential::new("AKIDEXAMPLE".into(), "another".into(), None, None).unwrap();
    others.add(other).unwrap();
    let others = Authenticator::verified(others, "000000000000".into());
    assert_eq!(plain().check(&others, signed_at()), Err(MISMATCH.into()));
    let unknown = vector("session token").check(&others, signed_at());
    assert_eq!(unknown, Err(INVALID_TOKEN.into()));
}

#[test]
fn session_tokens_must_be_those_of_the_key() {
    let session = vector("session token");
    assert_eq!(refused(&session.without_header("X-Amz-Security-Token")), INVALID_TOKEN);
    assert_eq!(
        refused(&session.with_header("X-Amz-Security-Token", |_| "other".into())),
        INVALID_TOKEN
    );
    let mut with_token = plain();
    with_token.headers.push(("X-Amz-Security-Token".into(), "t".into()));
    assert_eq!(refused(&with_token), INVALID_TOKEN);
    let presigned = vector("presigned with a session token");
    assert_eq!(
        refused(&presigned.with_target(|target| target.replace("token&", "tokem&"))),
        INVALID_TOKEN
    );
}

#[test]
fn clocks_may_be_a_quarter_of_an_hour_apart() {
    let at = |now| plain().check(&authenticator(), now).map(|_| ());
    for now in [signed_at(), later(900), earlier(900)] {
        assert_eq!(at(now), Ok(()));
    }
    let expired = "InvalidSignatureException: Signature expired: 20260102T030405Z is now earlier than \
                   20260102T030406Z (20260102T031906Z - 15 min.)";
    assert_eq!(at(later(901)), Err(expired.into()));
    let early = "InvalidSignatureException: Signature not yet current: 20260102T030405Z is still later than \
                 20260102T030404Z (20260102T024904Z + 15 min.)";
    assert_eq!(at(earlier(901)), Err(early.into()));
}

#[test]
fn presigned_requests_are_good_for_as_long_as_they_say() {
    let (short, week) = (vector("presigned"), vector("presigned for a week"));
    let at = |signed: &Signed, now| signed.check(&authenticator(), now).map(|_| ());
    assert_eq!(at(&short, later(60)), Ok(()));
    let expired = "InvalidSignatureException: Signature expired: 20260102T030405Z is now earlier than \
                   20260102T030406Z (20260102T030506Z - 1 min.)";
    assert_eq!(at(&short, later(61)), Err(expired.into()));
    assert_eq!(at(&week, later(604_800)), Ok(()));
    assert!(at(&week, later(604_801)).unwrap_err().contains("Signature expired"));
    assert!(at(&week, earlier(901)).unwrap_err().contains("Signature not yet current"));
    let range =
        "IncompleteSignatureException: X-Amz-Expires must be a number of seconds from 1 to 604800.";
    for seconds in ["0", "604801", "-1", "soon", ""] {
        let changed =
            short.with_target(|target| target.replace("Expires=60", &format!("Expires={seconds}")));
        assert_eq!(refused(&changed), range, "{seconds}");
    }
}

#[test]
fn credentials_are_for_this_service_and_that_day() {
    for (from, to, expected) in [
        (
            "/kinesis/",
            "/firehose/",
            "InvalidSignatureException: Credential should be scoped to correct service: 'kinesis'.",
        ),
        (
            "/aws4_request",
            "/aws5_request",
            "InvalidSignatureException: Credential should be scoped with a valid terminator: 'aws4_request', \
             not 'aws5_request'.",
        ),
        (
            "/us-east-1/",
            "/us:east/",
            "InvalidSignatureException: Credential should be scoped to a valid region.",
        ),
        (
            "/20260102/",
            "/20260103/",
            "InvalidSignatureException: Date in Credential scope does not match YYYYMMDD from ISO-8601 version \
             of date from HTTP: '20260103' != '20260102', from '20260102T030405Z'.",
        ),
        (
            "/kinesis/aws4_request",
            "/kinesis",
            "IncompleteSignatureException: Credential must have exactly 5 slash-delimited elements, e.g. \
             keyid/date/region/service/term, got 'AKIDEXAMPLE/20260102/us-east-1/kinesis'",
        ),
    ] {
        assert_eq!(refused(&with_authorization(from, to)), expected);
    }
    assert!(
        refused(&with_authorization("/20260102/", "/2026010/")).contains("'2026010' != '20260102'")
    );
    let six = with_authorization("/aws4_request", "/aws4_request/x");
    assert!(refused(&six).contains("exactly 5"));
}

#[test]
fn a_signature_of_another_kind_is_refused() {
    for (changed, expected) in [
        (
            with_authorization("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
            "IncompleteSignatureException: Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1'.",
        ),
        (
            with_authorization("host;", ""),
            "InvalidSignatureException: 'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (
            with_authorization("Signature=", "Credential=a, Signature="),
            "IncompleteSignatureException: 'Credential' must be given exactly once, and be text.",
        ),
        (
            plain().with_header("X-Amz-Date", |_| "2026-01-02T03:04:05Z".into()),
            "IncompleteSignatureException: Date must be in ISO-8601 'basic format'. Got '2026-01-02T03:04:05Z'. See \
             http://en.wikipedia.org/wiki/ISO_8601",
        ),
        (with_authorization("content-type;", "content-type;not-there;"), MISMATCH),
    ] {
        assert_eq!(refused(&changed), expected);
    }
}

#[test]
fn a_payload_may_be_unsigned_on_encrypted_connections_alone() {
    let unsigned = vector(UNSIGNED_PAYLOAD);
    let head = unsigned.head().unwrap();
    let check = |secure| authenticator().check(&head, b"anything", signed_at(), secure);
    assert!(check(true).is_ok());
    let error = check(false).unwrap_err().to_string();
    assert!(error.starts_with("InvalidSignatureException: The payload must be signed"), "{error}");
}

#[test]
fn without_credentials_what_looks_signed_is_the_owners() {
    let open = Authenticator::unverified("123456789012".into(), "eu-west-1".into());
    let owner =
        Caller { account: "123456789012".into(), region: "eu-west-1".into(), access_key_id: None };
    let forged = with_authorization("Signature=", "Signature=0");
    assert_eq!(forged.check(&open, later(1_000_000)), Ok(owner));
    assert!(forged.without_header("Authorization").check(&open, signed_at()).is_err());
}
