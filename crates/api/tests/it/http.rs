//! What is answered before an operation is reached, line by line as the service does.

use serde_json::json;

use crate::served::{AUTHORIZATION, Served};

const ACCESS_DENIED: &str = "<AccessDeniedException>\n  <Message>Unable to determine \
    service/operation name to be authorized</Message>\n</AccessDeniedException>\n";
const CBOR: (&str, &str) = ("Content-Type", "application/x-amz-cbor-1.1");
const JSON: (&str, &str) = ("Content-Type", "application/x-amz-json-1.1");
const TARGET: (&str, &str) = ("X-Amz-Target", "Kinesis_20131202.ListStreams");
const SIGNED: (&str, &str) = ("Authorization", AUTHORIZATION);
const DATED: (&str, &str) = ("X-Amz-Date", "20240101T000000Z");

/// Headers, body, and the status and body of the answer.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, u16, &'a str);

/// Status and body of a request on a connection of its own.
async fn send(
    served: &Served,
    request_line: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String) {
    let mut request = format!("{request_line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let answer = served.raw(request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn requests_that_reach_no_operation_are_refused_as_the_service_does() {
    let served = Served::start().await;
    let serialization = r#"{"__type":"SerializationException"}"#;
    let unknown = r#"{"__type":"UnknownOperationException"}"#;
    let plain = |name: &str| {
        format!(r#"{{"Output":{{"__type":"com.amazon.coral.service#{name}"}},"Version":"1.0"}}"#)
    };
    let (plain_serialization, plain_unknown) =
        (plain("SerializationException"), plain("UnknownOperationException"));
    let plain_json = ("Content-Type", "application/json");
    let text = ("Content-Type", "text/plain");
    let other = ("X-Amz-Target", "Kinesis_20131202.Other");
    let odd = ("X-Amz-Target", "ListStreams");
    let cases: &[Case<'_>] = &[
        (&[JSON, TARGET, SIGNED], "", 400, serialization),
        (&[JSON, other, SIGNED], "", 400, unknown),
        (&[JSON], "", 400, unknown),
        (&[text], "{}", 403, ACCESS_DENIED),
        (&[text, odd], "{}", 403, ACCESS_DENIED),
        (&[text, TARGET, SIGNED], "{}", 404, "<UnknownOperationException/>\n"),
        (&[TARGET, SIGNED], "{}", 404, "<UnknownOperationException/>\n"),
        (&[JSON, TARGET, SIGNED, DATED], "{", 400, serialization),
        (&[JSON, TARGET, SIGNED, DATED], "[]", 400, serialization),
        (&[JSON, TARGET], "[]", 400, serialization),
        (&[JSON, other], "\"a\"", 400, serialization),
        (&[plain_json, TARGET, SIGNED], "{", 400, &plain_serialization),
        (&[plain_json, TARGET, SIGNED], "{}", 404, &plain_unknown),
        (&[JSON, other, SIGNED], "{}", 400, unknown),
        (&[JSON, odd, SIGNED], "{}", 400, unknown),
        (
            &[JSON, TARGET],
            "{}",
            400,
            r#"{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}"#,
        ),
    ];
    for (headers, body, status, expected) in cases {
        let answer = send(&served, "POST /any/path", headers, body).await;
        assert_eq!(answer, (*status, (*expected).to_owned()), "{headers:?} {body}");
    }
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let answer = send(&served, &format!("{method} /"), &[JSON, TARGET, SIGNED], "").await;
        assert_eq!(answer, (403, ACCESS_DENIED.to_owned()), "{method}");
    }
    let (status, body) = send(&served, "POST /", &[JSON, TARGET, SIGNED], "{}").await;
    assert!(status == 400 && body.contains("IncompleteSignatureException"), "no date: {body}");
    assert_eq!(send(&served, "POST /", &[JSON, TARGET, SIGNED, DATED], "{}").await.0, 200);
    let signed = "POST /?X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Signature=c&X-Amz-SignedHeaders=d&X-Amz-Date=e";
    assert_eq!(send(&served, signed, &[JSON, TARGET], "{}").await.0, 200);
}

/// Status, content type and body of a request whose body may be no text.
async fn send_bytes(
    served: &Served,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, String, Vec<u8>) {
    let mut request = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".to_owned();
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("Content-Length: {}\r\n\r\n", body.len());
    let answer = served.raw_bytes([request.as_bytes(), body].concat()).await;
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let (head, body) = (String::from_utf8(answer[..head].to_vec()).unwrap(), &answer[head + 4..]);
    let content_type = head.split("content-type: ").nth(1).unwrap().lines().next().unwrap();
    (head[9..12].parse().unwrap(), content_type.to_owned(), body.to_vec())
}

#[tokio::test]
async fn what_comes_in_cbor_is_answered_in_cbor_and_so_is_nothing_at_all() {
    let served = Served::start().await;
    served.create("s", 1).await;
    let serialization = b"\xbf\x66__type\x76SerializationException\xff";
    let unknown = b"\xbf\x66__type\x78\x19UnknownOperationException\xff";
    let text = ("Content-Type", "text/plain");
    let other = ("X-Amz-Target", "Kinesis_20131202.Other");
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [u8], &'a [u8]);
    let cases: &[Case<'_>] = &[
        (&[CBOR, TARGET, SIGNED, DATED], b"", serialization),
        (&[TARGET, SIGNED, DATED], b"", serialization),
        (&[text, TARGET], b"", serialization),
        (&[text], b"", unknown),
        (&[], b"", unknown),
        (&[CBOR, TARGET, SIGNED, DATED], b"{}", serialization),
        (&[CBOR, TARGET], b"\x80", serialization),
        (&[CBOR, other], b"\xa0\xa0", serialization),
        (&[CBOR, other], b"\xa0", unknown),
    ];
    for (headers, body, expected) in cases {
        let answer = send_bytes(&served, headers, body).await;
        assert_eq!(answer, (400, CBOR.1.to_owned(), expected.to_vec()), "{headers:?} {body:x?}");
    }
    let (status, content_type, body) =
        send_bytes(&served, &[CBOR, TARGET, SIGNED, DATED], b"\xbf\x65Limit\x01\xff").await;
    assert_eq!((status, content_type.as_str()), (200, CBOR.1));
    assert!(body.starts_with(b"\xbf\x6bStreamNames\x81\x61s\x6eHasMoreStreams\xf4"), "{body:x?}");
}

#[tokio::test]
async fn every_answer_has_ids_and_those_without_output_are_empty() {
    let served = Served::start().await;
    let body = json!({ "StreamName": "s", "ShardCount": 1 }).to_string();
    for status in [200, 400] {
        let response = served.request("CreateStream").body(body.clone()).send().await.unwrap();
        assert_eq!(response.status(), status);
        let headers = response.headers().clone();
        assert_eq!(headers["content-type"], "application/x-amz-json-1.1");
        assert_eq!(headers["x-amzn-requestid"].len(), 36);
        assert_eq!(headers["x-amz-id-2"].len(), 96);
        assert!(headers.contains_key("date"));
        assert!(!headers.contains_key("access-control-allow-origin"));
        let error = headers.get("x-amzn-errortype");
        let body = response.bytes().await.unwrap();
        if status == 200 {
            assert!(body.is_empty() && headers["content-length"] == "0" && error.is_none());
        } else {
            assert_eq!(error.unwrap(), "ResourceInUseException");
        }
    }
}

#[tokio::test]
async fn pages_are_answered_by_get() {
    let served = Served::start().await;
    let response = reqwest::get(format!("http://{}/health", served.address)).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain");
    assert_eq!(response.text().await.unwrap(), "well");
    let response = reqwest::get(format!("http://{}/other", served.address)).await.unwrap();
    assert_eq!(response.status(), 403);
}

#[tokio::test]
async fn browsers_are_answered_for_pages_of_this_machine_alone() {
    let served = Served::start().await;
    let origin = |origin: &str| served.request("ListStreams").header("Origin", origin).body("{}");
    let response = origin("http://localhost:3000").send().await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["access-control-allow-origin"]),
        (200.try_into().unwrap(), &"*".parse().unwrap())
    );
    assert_eq!(origin("https://example.com").send().await.unwrap().status(), 403);
    let preflight = "OPTIONS / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: http://localhost\r\n\
        Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-amz-target\r\n\r\n";
    let answer = served.raw(preflight).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for header in [
        "access-control-allow-origin: *",
        "access-control-max-age: 172800",
        "access-control-allow-methods: POST",
        "access-control-allow-headers: x-amz-target",
        "access-control-expose-headers: x-amzn-RequestId,",
    ] {
        assert!(answer.contains(header), "{header} in {answer}");
    }
    assert!(!answer.contains("x-amz-id-2:"));
}
