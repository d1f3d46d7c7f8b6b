//! What the file means, and how its mistakes are explained.

use std::time::Duration;

use baikonur_api::Tls;

use super::*;

fn read(text: &str) -> Result<Config, String> {
    read_with(text, &[])
}

fn read_with(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let environment = environment.iter().map(pair).collect();
    let overrides = Overrides { environment, ..Overrides::default() };
    Config::read("b.toml", text, &overrides).map_err(|mistakes| mistakes.to_string())
}

const SMALL: &str = r#"
[streams.router]
[modules.archive]
type = "kinesis-to-s3"
source = "router"
destination = "file://${data}/archive"
"#;

#[test]
fn a_stream_is_configured_as_the_api_knows_it() {
    let config = read(
        "[server]\nlimits = \"aws\"\n[streams.s]\nmode = \"ON_DEMAND\"\nmax_record_size_in_kib = 2048",
    )
    .unwrap();
    let properties = &config.streams[0].properties;
    assert_eq!(properties.mode, baikonur_stream::StreamMode::OnDemand);
    assert_eq!(properties.record_kib_max, 2048);
    assert_eq!(config.server.api.limits, baikonur_api::Limits::Aws);
    let mistakes = read("[streams.s]\nmax_record_size_in_kib = 1").unwrap_err().to_string();
    assert!(mistakes.contains("it can be 1024 to 10240"), "{mistakes}");
}

#[test]
fn the_built_in_pipeline_is_the_routing_pattern() {
    let config = read(DEFAULT).unwrap();
    let streams: Vec<_> = config.streams.iter().map(|stream| stream.name.as_str()).collect();
    assert_eq!(streams, ["router", "stream-a", "stream-b", "stream-c"]);
    let kinds: Vec<_> = config.modules.iter().map(|module| module.kind.name()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "kinesis-forward").count(), 3);
    assert_eq!(kinds.iter().filter(|kind| **kind == "kinesis-to-s3").count(), 2);
    assert_eq!(config.server.data, PathBuf::from("./baikonur-data"));
}

#[test]
fn all_parts_of_a_module_stand_side_by_side() {
    let text = r#"
        [server]
        listen = "127.0.0.1:9"
        durability = "os-buffer"
        [streams.router]
        shards = 3
        retention_hours = 48
        [modules.index]
        type = "kinesis-to-es"
        source = "router"
        enabled = false
        batch_size = 10
        maximum_batching_window_in_seconds = 2
        starting_position = "LATEST"
        maximum_retry_attempts = 0
        maximum_record_age_in_seconds = 60
        bisect_batch_on_function_error = true
        log_type_field = "meta.type"
        failed_log_s3_bucket = "failed"
        endpoint = "http://127.0.0.1:9000"
        destination = "http://127.0.0.1:9200"
        index_name_prefix = "logs"
    "#;
    let config = read(text).unwrap();
    assert_eq!((config.streams[0].shards, config.streams[0].properties.retention.hours()), (3, 48));
    let module = &config.modules[0];
    assert_eq!((module.name.as_str(), module.enabled), ("index", false));
    assert_eq!(module.mapping.batch_size, 10);
    assert_eq!(module.mapping.batching_window, Duration::from_secs(2));
    assert_eq!(module.mapping.maximum_retry_attempts, Some(0));
    assert_eq!(module.mapping.maximum_record_age, Some(Duration::from_secs(60)));
    assert_eq!(module.intake.log_type_field, "meta.type");
    assert_eq!(module.s3.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
    assert_eq!(module.failed_store.as_ref().unwrap().to_string(), "s3://failed");
    assert!(matches!(&module.kind, Kind::ToElasticsearch(to) if to.index_name_prefix == "logs"));
}

#[test]
fn a_certificate_is_generated_below_the_data_or_read_from_files() {
    let tls = |keys: &str| read(&format!("[server]\ndata = '/data'\n{keys}")).unwrap().server.tls;
    assert_eq!(tls(""), None);
    let directory = PathBuf::from("/data/tls");
    let host = Some("logs.example.com".to_owned());
    assert_eq!(
        tls("tls = 'generated'\ntls_host = 'logs.example.com'"),
        Some(Tls::Generated { directory, host })
    );
    assert_eq!(
        tls("tls = 'files'\ntls_certificate = 'c.pem'\ntls_key = 'k.pem'"),
        Some(Tls::Files { certificate: "c.pem".into(), key: "k.pem".into() })
    );
}

#[test]
fn one_setting_moves_the_streams_to_kinesis() {
    let keys = "consumption = 'enhanced-fan-out'\n[kinesis]\nregion = 'eu-west-1'\n";
    let text = format!("{SMALL}{keys}");
    assert_eq!(read(&text).unwrap().kinesis, None);
    let there = [("BAIKONUR_SERVER__STREAMS", "kinesis"), ("AWS_ENDPOINT_URL", "http://[::1]:4")];
    let config = read_with(&text, &there).unwrap();
    let kinesis = config.kinesis.unwrap();
    assert_eq!(kinesis.region.as_deref(), Some("eu-west-1"));
    assert_eq!(kinesis.endpoint_url.as_deref(), Some("http://[::1]:4"));
    assert!(!kinesis.create_streams, "streams on Amazon cost money");
    let consumer = "archive".to_owned();
    assert_eq!(config.modules[0].consumption, Consumption::EnhancedFanOut { consumer });
    // Where the streams are embedded nobody cares about the endpoint of the AWS tools.
    assert!(read_with(&text, &[("AWS_ENDPOINT_URL", "nowhere")]).is_ok());
    let there = "[server]\nstreams = 'kinesis'\n";
    for (text, expected) in [
        (format!("[kinesis]\nendpoint_url = 'x'\n{there}"), "b.toml:2: [kinesis] endpoint_url"),
        (format!("[kinesis]\nca_file = 'x'\n{there}"), "ca_file is for an endpoint_url alone"),
        (format!("[kinesis]\nregoin = 'x'\n{there}"), "did you mean region?"),
        (format!("{SMALL}consumer_name = 'x'\n"), "consumption = \"enhanced-fan-out\" alone"),
        (
            format!("{SMALL}consumer_name = 'a b'\nconsumption = 'enhanced-fan-out'\n"),
            "consumer_name is \"a b\"",
        ),
        ("[server]\nstreams = 'amazon'".into(), "unknown variant `amazon`"),
    ] {
        let shown = read(&text).unwrap_err();
        assert!(shown.contains(expected), "{text}\ngives\n{shown}");
    }
}

#[test]
fn every_mistake_has_its_line_and_a_hint() {
    let text = r#"[streams.router]
shard = 2

[modules.archive]
type = "kinesis-to-s3"
source = "ruoter"
destination = "s4://bucket"
batch_size = 0
bufer_seconds = 5
"#;
    let shown = read(text).unwrap_err();
    for expected in [
        "b.toml:2: [streams.router] there is no key shard here; did you mean shards?\n  2 | shard = 2\n    | ^^^^^\n",
        "b.toml:6: [modules.archive] source is ruoter, but there is no [streams.ruoter]; did you mean router?",
        "b.toml:7: [modules.archive] destination \"s4://bucket\" is neither s3:// nor file://",
        "b.toml:8: [modules.archive] batch_size is 0: it can be 1 to 10000",
        "b.toml:9: [modules.archive] there is no key bufer_seconds here; did you mean buffer_seconds?",
    ] {
        assert!(shown.contains(expected), "{expected}\nis not in\n{shown}");
    }
    assert_eq!(shown.matches("b.toml:").count(), 5, "{shown}");
}

#[test]
fn mistakes_of_other_kinds_are_explained_too() {
    for (text, expected) in [
        ("[streams.router", "b.toml:1:"),
        ("[stream.router]", "there is no section stream; did you mean streams?"),
        ("streams = 1", "write [streams.NAME]"),
        ("[streams]\nrouter = 1", "b.toml:2: [streams] router is no table: write [streams.router]"),
        ("[streams.\"a b\"]", "is not a stream name"),
        ("[streams.a]\nshards = 'x'", "b.toml:2:"),
        ("[streams.a]\nretention_hours = 1", "it can be 24 to 8760"),
        ("[server]\nlisten = 'x'", "b.toml:2: [server]"),
        ("[server]\naccount = '1'", "account is \"1\", not 12 digits"),
        ("[server]\ntls = 'on'", "b.toml:2: [server] unknown variant `on`"),
        (
            "[server]\ntls = 'off'\ntls_key = 'x'",
            "b.toml:3: [server] tls_key is for tls = \"files\" alone",
        ),
        (
            "[server]\ntls_host = 'x'",
            "b.toml:2: [server] tls_host is for tls = \"generated\" alone",
        ),
        (
            "[server]\ntls = 'generated'\ntls_host = 'https://x'",
            "b.toml:3: [server] tls_host is \"https://x\", neither a name nor an address",
        ),
        (
            "[server]\ntls_certificate = 'x'\ntls = 'files'",
            "b.toml:3: [server] tls = \"files\" needs tls_certificate and tls_key",
        ),
        ("[streams.a]\n[modules.m]\nsource = 'a'", "missing field `type`"),
        (
            "[streams.a]\n[modules.m]\nsource = 'a'\ntype = 'kinesis-forwrd'",
            "did you mean kinesis-forward?",
        ),
        (
            "[streams.a]\n[modules.m]\nsource = 'a'\ntype = 'kinesis-to-s3'",
            "destination is missing",
        ),
        (
            "[streams.a]\n[modules.m]\nsource = 'a'\ntype = 'kinesis-forward'\ntarget_stream_name = 'b'",
            "b.toml:5: [modules.m] target_stream_name is b, but there is no [streams.b]",
        ),
        (
            "[streams.a]\n[modules.m]\nsource = 'a'\ntype = 'kinesis-forward'\ntarget_stream_name = 'a'",
            "go round for ever",
        ),
        (
            "[streams.a]\n[modules.m]\nsource='a'\ntype='kinesis-to-fluent'\ndestination='${NOPE}'\nfluent_tag='t'",
            "b.toml:5: the environment variable NOPE is not set",
        ),
    ] {
        let shown = read(text).unwrap_err();
        assert!(shown.contains(expected), "{text}\ngives\n{shown}");
    }
}

#[test]
fn changed_fields_stand_in_a_table_of_the_module() {
    let text = format!(
        "{SMALL}[modules.archive.fields]\ndrop = ['a']\nredact = [{{ key = 'b', hash = '${{SALT}}' }}]\n"
    );
    let salt = ("SALT", "a salt of some length");
    let config = read_with(&text, &[salt]).unwrap();
    let words = |config: &Config| config.modules[0].intake.fields.in_words();
    assert_eq!(words(&config).as_deref(), Some("drop a; redact b"));
    let from_outside = ("BAIKONUR_MODULES__ARCHIVE__FIELDS__DROP", "['c', 'd']");
    let other = read_with(&text, &[salt, from_outside]).unwrap();
    assert_eq!(words(&other).as_deref(), Some("drop c, d; redact b"));
    assert_ne!(config, other);
    assert_eq!(
        config,
        read_with(&format!("# moved\n{text}"), &[salt]).unwrap(),
        "lines do not matter"
    );
    let mistake = read_with(&text, &[("SALT", "short")]).unwrap_err();
    assert!(mistake.starts_with("b.toml:9: [modules.archive] hash is the secret"), "{mistake}");
    let mistake = read_with(&text.replace("'b'", "'a.x'"), &[salt]).unwrap_err();
    assert!(mistake.contains("b.toml:9: [modules.archive] a.x is below a"), "{mistake}");
}

#[test]
fn filter_criteria_come_from_the_file_or_the_environment() {
    let texts = |config: Config| -> Vec<String> {
        config.modules[0].intake.filter_criteria.texts().map(str::to_owned).collect()
    };
    let pattern = r#"{"data":{"level":["ERROR"]}}"#;
    let text = format!("{SMALL}filter_criteria = ['{pattern}']\n");
    assert_eq!(texts(read(&text).unwrap()), [pattern]);
    let variable = "BAIKONUR_MODULES__ARCHIVE__FILTER_CRITERIA";
    let api = r#"{"Filters":[{"Pattern":"{\"data\":{\"a\":[1]}}"},{"Pattern":"{\"data\":{\"b\":[2]}}"}]}"#;
    for (value, expected) in [
        (pattern, &[pattern][..]),
        (&*format!("['{pattern}']"), &[pattern]),
        (api, &[r#"{"data":{"a":[1]}}"#, r#"{"data":{"b":[2]}}"#]),
        ("[]", &[]),
    ] {
        assert_eq!(texts(read_with(&text, &[(variable, value)]).unwrap()), expected, "{value}");
    }
    let wrong = text.replace("[\"ERROR\"]", "\"ERROR\"");
    let shown = read(&wrong).unwrap_err();
    let expected = "b.toml:7: [modules.archive] filter_criteria: Invalid filter pattern definition. \
                    data: \"level\" must be an object or an array\n  7 | filter_criteria = ['{\"data\"";
    assert!(shown.contains(expected), "{shown}");
}

#[test]
fn records_that_would_come_back_are_refused() {
    let forward = |name: &str, from: &str, to: &str| {
        format!(
            "[modules.{name}]\ntype='kinesis-forward'\nsource='{from}'\ntarget_stream_name='{to}'\n"
        )
    };
    let streams = "[streams.a]\n[streams.b]\n[streams.c]\n";
    let line = format!("{streams}{}{}", forward("x", "a", "b"), forward("y", "b", "c"));
    assert!(read(&line).is_ok());
    let circle = format!("{line}{}", forward("z", "c", "a"));
    assert!(read(&circle).unwrap_err().contains("go round for ever"));
    // A region is no other place when it is that of the source.
    let there = "[server]\nstreams = 'kinesis'\n[kinesis]\nregion = 'eu-west-1'\n";
    let to_region = |region| format!("{there}{circle}target_region = '{region}'");
    assert!(read(&to_region("eu-west-1")).unwrap_err().contains("go round for ever"));
    assert!(read(&to_region("eu-west-2")).is_ok());
    let twice = "[streams.a]\n[streams.b]\n[modules.x]\ntype='kinesis-forward'\nsource='a'\n\
                 [[modules.x.targets]]\ntarget_stream_name='b'\n\
                 [[modules.x.targets]]\ntarget_stream_name='b'\ntarget_region='eu-west-1'\n";
    assert!(read(&format!("{there}{twice}")).unwrap_err().contains("name b twice in one place"));
    let off = format!("{circle}enabled = false");
    assert!(read(&off).is_ok());
}

#[test]
fn the_environment_fills_in_and_goes_before_the_file() {
    let destination = |config: Config| config.modules[0].kind.destination();
    let data = std::path::absolute("baikonur-data").unwrap();
    assert_eq!(destination(read(SMALL).unwrap()), format!("file://{}/archive", data.display()));
    let text = SMALL.replace("file://${data}/archive", "s3://${BUCKET}/$${x}");
    let config = read_with(&text, &[("BUCKET", "b")]).unwrap();
    assert_eq!(destination(config), "s3://b/${x}", "$${{ is a plain one");
    let text = SMALL.replace("file://${data}/archive", "s3://${BUCKET}");
    let environment = [
        ("BUCKET", "b"),
        ("BAIKONUR_MODULES__ARCHIVE__BUFFER_SECONDS", "7"),
        ("BAIKONUR_SERVER__REGION", "eu-west-1"),
        ("BAIKONUR_DATA", "elsewhere"),
    ];
    let config = read_with(&text, &environment).unwrap();
    assert_eq!(config.server.api.region, "eu-west-1");
    let Kind::ToS3(settings) = &config.modules[0].kind else { panic!("{config:?}") };
    assert_eq!(settings.buffer_seconds, 7);
    assert_eq!(destination(config), "s3://b");
    let unknown = [("BAIKONUR_MODULES__ARCHIV__BUFFER_SECONDS", "7")];
    let shown = read_with(SMALL, &unknown).unwrap_err();
    assert!(shown.contains("BAIKONUR_MODULES__ARCHIV__BUFFER_SECONDS names ARCHIV"), "{shown}");
    let wrong = [("BAIKONUR_MODULES__ARCHIVE__BUFFER_SECONDS", "soon")];
    let shown = read_with(SMALL, &wrong).unwrap_err();
    assert!(shown.contains("b.toml: [modules.archive]"), "{shown}");
}

/// The file of the AWS CLI.
const PROFILES: &str = "[default]\naws_access_key_id = AKIDFILE\naws_secret_access_key = hidden\n";

#[test]
fn credentials_come_from_the_file_the_environment_and_files_of_the_cli() {
    assert!(read("").unwrap().server.api.credentials.is_none());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials");
    std::fs::write(&path, PROFILES).unwrap();
    let text = format!(
        "[server]\ncredentials_file = '{}'\n\
         [[server.credentials]]\naccess_key_id = 'AKID1'\nsecret_access_key = 'hidden'\naccount = '111111111111'\n\
         [[server.credentials]]\naccess_key_id = 'AKID2'\nsecret_access_key_env = 'SECRET'\n\
         [[server.credentials]]\naccess_key_id = 'AKID3'\nsecret_access_key = '${{SECRET}}'\nsession_token = 'hidden'\n",
        path.display()
    );
    let config = read_with(&text, &[("SECRET", "hidden2")]).unwrap();
    let credentials = config.server.api.credentials.as_ref().unwrap();
    assert_eq!(credentials.len(), 4);
    assert!(!format!("{config:?}").contains("hidden"), "{config:?}");
    let (file, variable) = (path.display().to_string(), "BAIKONUR_SERVER__CREDENTIALS_FILE");
    let config = read_with("", &[(variable, &file)]).unwrap();
    assert_eq!(config.server.api.credentials.unwrap().len(), 1);
}

#[test]
fn mistakes_in_credentials_are_explained_without_the_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials");
    std::fs::write(&path, PROFILES.replace("aws_access_key_id", "aws_access_key_di")).unwrap();
    let key = "[[server.credentials]]\naccess_key_id = 'AKID'\n";
    let in_file = format!(
        "b.toml:2: [server] credentials_file: {}:1: [default] lacks aws_access_key_id",
        path.display()
    );
    for (text, expected) in [
        (format!("[server]\ncredentials_file = '{}'", path.display()), &*in_file),
        (
            "[server]\ncredentials_file = '/nowhere/c'".into(),
            "cannot read the credentials file /nowhere/c",
        ),
        (
            "[server]\ncredentials = 'hidden'".into(),
            "credentials is a list of tables: write [[server.credentials]]",
        ),
        ("[server]\ncredentials = []".into(), "write [[server.credentials]]"),
        (key.into(), "b.toml:1: [server.credentials] secret_access_key is missing, and so is"),
        (
            format!("{key}secret_access_key = ['hidden']"),
            "b.toml:3: [server.credentials] a secret is a text",
        ),
        (format!("{key}secret_access_key = 'hidden"), "b.toml:3:"),
        (
            format!("{key}secret_access_key = ''"),
            "b.toml:3: [server.credentials] secret_access_key must not be empty",
        ),
        (
            format!("{key}secret_access_key = 'hidden'\nsession_token = 'hidden '"),
            "b.toml:4: [server.credentials] session_token",
        ),
        (
            format!("{key}secret_access_key = 'hidden'\naccount = '12'"),
            "b.toml:4: [server.credentials] account must be 12 digits",
        ),
        (
            format!("{key}secret_access_key_env = 'NOPE'"),
            "b.toml:3: [server.credentials] secret_access_key_env is NOPE, but",
        ),
        (
            format!("{key}secret_access_key = '${{NOPE}}hidden'"),
            "b.toml:3: the environment variable NOPE is not set",
        ),
        (
            format!("{key}secret_access_key = 'hidden'\nsecret_access_key_env = 'A'"),
            "one is enough",
        ),
        (
            format!("{key}secret_acess_key = 'hidden'"),
            "there is no key secret_acess_key here; did you mean secret_access_key?",
        ),
        (
            format!("{key}secret_access_key = 'hidden'\n{key}secret_access_key = 'hidden2'"),
            "b.toml:5: [server.credentials] access_key_id is that of another credential",
        ),
        (
            "[[server.credentials]]\nsecret_access_key = 'hidden'".into(),
            "missing field `access_key_id`",
        ),
        ("[server]\ndata = '${data}/x'".into(), "[server] says where ${data} is"),
    ] {
        let shown = read(&text).unwrap_err();
        assert!(shown.contains(expected), "{text}\ngives\n{shown}");
        assert!(!shown.contains("hidden"), "{text}\ngives\n{shown}");
    }
}

#[test]
fn leases_are_configured_by_the_names_of_the_kcl() {
    let on_kinesis = "[server]\nstreams = \"kinesis\"\n[kinesis]\nregion = \"eu-west-1\"\n";
    let leases = |keys: &str| read(&format!("{on_kinesis}[leases]\n{keys}\n{SMALL}"));
    let module = baikonur_stream::ConsumerName::new("archive");
    let config = leases("").unwrap().leases.unwrap();
    let settings = config.settings(&module, "host:1");
    assert_eq!(settings, baikonur_leases::Settings::new("archive", "host:1"));
    let keys = "table_name = \"app-{module}\"\nworker_identifier = \"me\"\nfailover_time_millis = 3000\n\
                max_leases_for_worker = 4\nmax_leases_to_steal_at_one_time = 2\nregion = \"us-east-1\"";
    let config = leases(keys).unwrap().leases.unwrap();
    let settings = config.settings(&module, "host:1");
    let named = (settings.table_name.as_str(), settings.worker_identifier.as_str());
    assert_eq!(named, ("app-archive", "me"));
    assert_eq!(settings.failover_time, Duration::from_secs(3));
    assert_eq!((settings.max_leases_for_worker, settings.max_leases_to_steal_at_one_time), (4, 2));
    assert_eq!(config.region.as_deref(), Some("us-east-1"));
    for (keys, mistake) in [
        ("failover_time_millis = 5", "failover_time_millis is 5"),
        ("table_name = \"a b\"", "table_name"),
        ("max_leases_for_worker = 0", "max_leases_for_worker is 0"),
        ("table = \"t\"", "there is no key table here"),
    ] {
        let mistakes = leases(keys).unwrap_err();
        assert!(mistakes.contains(mistake), "{keys}: {mistakes}");
    }
}

#[test]
fn modules_do_not_share_a_lease_table_and_embedded_streams_need_none() {
    let second = SMALL.replace("[streams.router]", "").replace("modules.archive", "modules.second");
    let text = format!("[leases]\ntable_name = \"app\"\n{SMALL}{second}");
    assert_eq!(read(&text).unwrap().leases, None, "embedded streams have one worker");
    let mistakes = read(&format!("[server]\nstreams = \"kinesis\"\n{text}")).unwrap_err();
    assert!(mistakes.contains("2 modules would share one table"), "{mistakes}");
    let text = text.replace("\"app\"", "\"app-{module}\"");
    let config = read(&format!("[server]\nstreams = \"kinesis\"\n{text}")).unwrap();
    assert!(config.leases.is_some());
}

#[test]
fn lanes_are_for_modules_that_do_not_hold() {
    let module = |kind: &str| {
        format!(
            "[streams.a]\n[streams.b]\n[modules.m]\nsource = \"a\"\nparallelization_factor = 4\n{kind}"
        )
    };
    let shown = read(&module("type = \"kinesis-to-s3\"\ndestination = \"file:///x\"")).unwrap_err();
    assert!(shown.contains("b.toml:5: [modules.m] parallelization_factor must be 1"), "{shown}");
    for kind in [
        "type = \"kinesis-forward\"\ntarget_stream_name = \"b\"",
        "type = \"kinesis-to-es\"\ndestination = \"localhost\"\nindex_name_prefix = \"x\"",
        "type = \"kinesis-to-fluent\"\ndestination = \"localhost\"\nfluent_tag = \"x\"",
    ] {
        let config = read(&module(kind)).unwrap();
        assert_eq!(config.modules[0].mapping.parallelization_factor, 4, "{kind}");
    }
}

#[test]
fn memory_has_a_least_amount() {
    let config = read("").unwrap();
    assert_eq!(config.server.in_flight_bytes, 256 << 20);
    let shown = read("[server]\nin_flight_bytes = 1000").unwrap_err();
    assert!(
        shown.contains("b.toml:2: [server] in_flight_bytes is 1000: it can be 1048576"),
        "{shown}"
    );
}

#[test]
fn a_cleaner_stands_beside_the_modules_and_reads_no_stream() {
    let config = read(
        "[modules.clean]\ntype = \"es-cleaner\"\nelasticsearch_host = \"es:9200\"\nindex_name_prefix = \"logs, app\"\n\
         max_age_days = 7\nschedule_expression = \"rate(2 hours)\"",
    )
    .unwrap();
    let cleaner = &config.cleaners[0];
    assert_eq!((cleaner.name.as_str(), cleaner.enabled), ("clean", true));
    assert_eq!(cleaner.settings.index_name_prefix, ["logs", "app"]);
    assert_eq!(cleaner.settings.cluster.destination, ["es:9200"]);
    assert!(config.modules.is_empty());
    let shown = read(
        "[modules.clean]\ntype = \"es-cleaner\"\ndestination = \"es\"\nindex_name_prefix = \"a\"\n\
         max_age_day = 7",
    )
    .unwrap_err();
    assert!(
        shown.contains("b.toml:5: [modules.clean] there is no key max_age_day here"),
        "{shown}"
    );
    assert!(shown.contains("max_age_days"), "{shown}");
    let shown = read("[modules.clean]\ntype = \"es-cleaner\"\ndestination = \"es\"").unwrap_err();
    assert!(shown.contains("index_name_prefix is missing"), "{shown}");
}
