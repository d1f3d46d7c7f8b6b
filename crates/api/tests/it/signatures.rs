//! A server that verifies signatures, over HTTP.

use baikonur_api::{Credential, Credentials, Post, ServeError, Server, ServerSettings, Signer};
use baikonur_stream::{Clock, SystemClock, Timestamp};
use reqwest::header::HeaderMap;

use crate::served::{Served, settings};

const BODY: &[u8] = b"{}";

fn credential(secret: &str) -> Credential {
    Credential::new("AKIDEXAMPLE".into(), secret.into(), None, None).unwrap()
}

fn verifying() -> ServerSettings {
    let mut credentials = Credentials::default();
    credentials.add(credential("secret")).unwrap();
    ServerSettings { credentials: Some(credentials), ..settings() }
}

/// Status and body of ListStreams, signed with `secret` at `now`.
async fn list(served: &Served, secret: &str, now: Timestamp) -> (u16, String) {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/x-amz-json-1.1".parse().unwrap());
    headers.insert("x-amz-target", "Kinesis_20131202.ListStreams".parse().unwrap());
    let authority = served.address.to_string();
    let post = Post { authority: &authority, path: "/a//b%20c", query: Some("q=%C3%A9&p") };
    let signer = Signer::new(credential(secret), "eu-west-1".into());
    signer.sign(post, &mut headers, BODY, now).unwrap();
    let url = format!("http://{authority}{}?{}", post.path, post.query.unwrap());
    let request = reqwest::Client::new().post(url).headers(headers).body(BODY);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn only_who_knows_a_secret_is_served() {
    let served = Served::with(verifying()).await;
    let now = SystemClock::new().now();
    let (status, body) = list(&served, "secret", now).await;
    assert_eq!(status, 200, "{body}");
    let (status, body) = list(&served, "another", now).await;
    assert!(status == 400 && body.contains(r#""InvalidSignatureException""#), "{body}");
    let (status, body) =
        list(&served, "secret", Timestamp::from_seconds(now.seconds() - 1000)).await;
    assert!(status == 400 && body.contains("Signature expired: "), "{body}");
    let response = served.request("ListStreams").body("{}").send().await.unwrap();
    assert_eq!(response.headers()["x-amzn-errortype"], "InvalidSignatureException", "from 2024");
    let response = reqwest::get(format!("http://{}/health", served.address)).await.unwrap();
    assert_eq!(response.status(), 200, "pages are not signed");
}

#[tokio::test]
async fn a_server_that_verifies_may_listen_anywhere() {
    // Of a network that nobody has: it gets as far as listening.
    let listen = "192.0.2.1:0".parse().unwrap();
    let error = Server::bind(ServerSettings { listen, ..verifying() }).await.unwrap_err();
    assert!(matches!(error, ServeError::Listen { .. }), "{error}");
}
