//! Destinations and credentials as a user may give them.

use super::*;

fn settings(destination: &str) -> Settings {
    Settings { destination: vec![destination.to_owned()], ..Settings::default() }
}

fn url_of(destination: &str) -> Url {
    settings(destination).urls().unwrap().remove(0)
}

fn credentials(settings: &Settings) -> Result<Credentials, InvalidSettings> {
    settings.credentials(&settings.urls().unwrap())
}

#[test]
fn a_host_alone_is_taken_as_https() {
    let url = url_of("search-logs.eu-west-1.es.amazonaws.com");
    assert_eq!(url.as_str(), "https://search-logs.eu-west-1.es.amazonaws.com/");
    assert_eq!(url_of("http://es:9200/a/b").as_str(), "http://es:9200/a/b");
    assert_eq!(url_of("es:9200").as_str(), "https://es:9200/");
}

#[test]
fn nodes_stand_in_a_list_or_between_commas() {
    let read = |text: &str| toml::from_str::<Settings>(text).unwrap().shown_destination();
    assert_eq!(read("destination = 'a:1, http://b:2'"), "https://a:1/, http://b:2/");
    assert_eq!(read("destination = ['http://me:hush@a:1', 'b']"), "http://a:1/, https://b/");
}

#[test]
fn what_is_no_cluster_is_refused_without_showing_a_password() {
    for given in ["", "ftp://u:hush@es", "http://", "http://u:hush@es?a=b", "a b"] {
        let error = settings(given).check().unwrap_err();
        assert_eq!(error.key(), "destination", "{given}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }
}

#[test]
fn a_password_that_is_not_encoded_is_not_shown_either() {
    for (given, shown) in [
        ("https://me:hush/hush@es:9200", "https://***@es:9200"),
        ("https://me:12/hush@es:9200", "https://***@es:9200"),
        ("https://me:12#hush@es", "https://***@es"),
        ("https://me:hush@hush@es:port/a?hush#hush", "https://***@es:***/a"),
        ("me:hush#hush@es", "***@es"),
        ("me:hush://me:hush@es", "***@es"),
        ("https://es/?token=hush", "https://es/"),
        ("https://me:hush", "https://me:***"),
    ] {
        let error = settings(given).check().unwrap_err().to_string();
        assert!(error.starts_with(&format!("destination {shown:?} ")), "{given}: {error}");
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn settings_that_are_printed_show_no_password() {
    let settings =
        Settings { password: Some(Secret::new("hush")), ..settings("https://me:hush@es:9200/a") };
    let text = format!("{settings:?}");
    assert!(text.contains("https://***@es:9200/a") && !text.contains("hush"), "{text}");
}

#[test]
fn a_user_comes_from_the_url_or_from_the_settings() {
    let basic = Credentials::Basic { username: "me".to_owned(), password: Secret::new("a@b") };
    assert_eq!(credentials(&settings("https://me:a%40b@es")), Ok(basic.clone()));
    let from_settings = Settings {
        username: Some("me".to_owned()),
        password: Some(Secret::new("a@b")),
        ..settings("https://es")
    };
    assert_eq!(credentials(&from_settings), Ok(basic));
    let both = Settings { api_key: Some(Secret::new("k")), ..from_settings };
    assert_eq!(both.check().unwrap_err().key(), "username");
    let two = ["https://a:x@es1", "https://b:x@es2"].map(str::to_owned).to_vec();
    let two = Settings { destination: two, ..Settings::default() };
    assert!(two.check().unwrap_err().to_string().contains("several users"));
}

#[test]
fn a_host_of_amazon_is_signed_for_unless_something_else_is_said() {
    let signed = |service, region: Option<&str>| {
        Ok(Credentials::Signed { service, region: region.map(str::to_owned) })
    };
    let domain = settings("search-x.eu-west-1.es.amazonaws.com");
    assert_eq!(credentials(&domain), signed(AwsService::Es, Some("eu-west-1")));
    assert!(domain.is_signed());
    let collection = settings("https://x.us-east-1.aoss.amazonaws.com");
    assert_eq!(credentials(&collection), signed(AwsService::Aoss, Some("us-east-1")));
    let open = Settings { aws_service: Some(AwsService::None), ..domain.clone() };
    assert_eq!(credentials(&open), Ok(Credentials::Anonymous));
    let internal_user = Settings {
        username: Some("u".to_owned()),
        password: Some(Secret::new("p")),
        ..domain.clone()
    };
    assert!(matches!(credentials(&internal_user), Ok(Credentials::Basic { .. })));
    let custom = settings("https://logs.example.com");
    assert_eq!(credentials(&custom), Ok(Credentials::Anonymous));
    let custom = Settings { aws_service: Some(AwsService::Es), ..custom };
    assert_eq!(credentials(&custom), signed(AwsService::Es, None));
    let elsewhere = Settings { aws_region: Some("eu-north-1".to_owned()), ..custom.clone() };
    assert_eq!(credentials(&elsewhere), signed(AwsService::Es, Some("eu-north-1")));
    let both = Settings { api_key: Some(Secret::new("k")), ..custom };
    assert!(both.check().unwrap_err().to_string().contains("one of them alone"));
}

#[test]
fn secrets_do_not_show() {
    let shown = format!("{:?}", Settings { password: Some(Secret::new("hush")), ..settings("es") });
    assert!(shown.contains("***") && !shown.contains("hush"));
}

#[test]
fn this_machine_gets_no_gzip_unless_told() {
    for (destination, gzip) in [
        ("http://localhost:9200", false),
        ("http://127.0.0.1:9200", false),
        ("http://[::1]:9200", false),
        ("https://es.example.com", true),
    ] {
        let mut settings = settings(destination);
        let url = url_of(destination);
        assert_eq!(settings.compresses(&url), gzip, "{destination}");
        settings.gzip = Some(!gzip);
        assert_eq!(settings.compresses(&url), !gzip, "{destination}");
    }
}

#[test]
fn every_key_is_read() {
    let written = serde_json::json!({
        "elasticsearch_host": "es", "username": "u", "password": "p", "api_key": "k", "ca_file": "c",
        "aws_service": "aoss", "aws_region": "r", "aws_profile": "q", "gzip": true, "connect_seconds": 4,
        "request_seconds": 5,
    });
    for key in written.as_object().unwrap().keys() {
        assert!(Settings::keys().contains(&key.as_str()), "{key}");
    }
    let settings: Settings = serde_json::from_value(written).unwrap();
    assert_eq!(settings.destination, ["es"]);
    assert_eq!(settings.aws_service, Some(AwsService::Aoss));
    assert_eq!(
        (settings.gzip, settings.connect_seconds, settings.request_seconds),
        (Some(true), 4, 5)
    );
}
