"""The Terraform modules and examples with the real AWS provider: formatted, valid, tested beside their code, and applied
against moto, where the resources are looked at with boto3; and the migration of a state of the originals.

All roots are applied at the same time and in the background, since most of their time is waiting.
"""

import base64
import hashlib
import http.server
import json
import shutil
import subprocess
import sys
import threading
import urllib.parse
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest

from parts.moto_server import ACCOUNT, MotoServer
from starting import available, started
from terraform_cli import EXAMPLES, INNER_MODULES, MODULES, SOURCES, Root, Terraform

HERE = Path(__file__).parent

# A region for each root: so they share a server and nothing else. Buckets and roles are of all regions.
REGIONS = {
    "one-to-one": "eu-west-1", "one-to-many": "eu-west-2", "routing": "us-east-1", "routing-cloudwatch-logs": "us-west-2",
}
ELASTICSEARCH = {"host": "search-logs.example.com", "arn": f"arn:aws:es:eu-west-2:{ACCOUNT}:domain/logs", "max_age_days": 30}
FLUENT = {"sink_endpoint": "10.20.30.40", "tag": "dev"}


@pytest.fixture(scope="session")
def terraform(tmp_path_factory):
    return available(lambda: Terraform(tmp_path_factory.mktemp("terraform")))


@pytest.fixture(scope="session")
def moto(tmp_path_factory):
    with started(MotoServer, tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    path = tmp_path_factory.mktemp("package") / "package.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bootstrap", b"#!/bin/sh\n")
    return path


@pytest.fixture(scope="session")
def background():
    with ThreadPoolExecutor(len(EXAMPLES) + 1) as pool:
        yield pool


@pytest.fixture(scope="session", autouse=True)
def examples(terraform, moto, package, background):
    """Every example, as it is being applied: `result()` of each is its root."""

    def applied(name):
        region = REGIONS[name]
        variables = {
            "region": region, "name": f"logs-{EXAMPLES.index(name)}", "bucket": f"logs-of-{name}",
            "lambda_package_file": str(package), "alarm_email": "operators@example.com",
        }
        if name == "one-to-many":
            variables |= {"elasticsearch": ELASTICSEARCH, "fluent": FLUENT}
        if name == "routing-cloudwatch-logs":
            client(moto, "logs", region).create_log_group(logGroupName="/app/web")
            variables["log_groups"] = {"/app/web": "{ $.level = ERROR }"}
        return Root(terraform, terraform.sources / "examples" / name, moto, variables).apply()

    return {name: background.submit(applied, name) for name in EXAMPLES}


@pytest.fixture(scope="session", autouse=True)
def migration(terraform, moto, package, background):
    """A state of the originals that goes on with our module: `result()` has what was planned and what there is then."""
    return background.submit(migrated, terraform, moto, package)


def client(moto, service, region):
    return boto3.client(
        service, endpoint_url=moto.endpoint, region_name=region, aws_access_key_id="local", aws_secret_access_key="local"
    )


def function(moto, region, name):
    """A function's configuration, its mapping (None without), and the statements of its role's policy by their names."""
    functions = client(moto, "lambda", region)
    configuration = functions.get_function_configuration(FunctionName=name)
    # moto does not find the mapping of a name that was made with an ARN.
    every = functions.list_event_source_mappings()["EventSourceMappings"]
    mappings = [mapping for mapping in every if mapping["FunctionArn"] == configuration["FunctionArn"]]
    assert len(mappings) <= 1
    policy = client(moto, "iam", region).get_role_policy(RoleName=f"lambda_{name}", PolicyName=f"lambda_{name}")
    document = policy["PolicyDocument"]
    if isinstance(document, str):
        document = json.loads(urllib.parse.unquote(document))
    for statement in document["Statement"]:
        # Only X-Ray and network interfaces know no ARNs, and no example has those.
        assert statement["Resource"] != "*" and "*" not in json.dumps(statement["Action"]), statement
    statements = {statement.get("Sid"): statement for statement in document["Statement"]}
    assert configuration["Role"] == f"arn:aws:iam::{ACCOUNT}:role/lambda_{name}"
    return configuration, (mappings or [None])[0], statements


def resources(statements, *names):
    return [statements[name]["Resource"] for name in names]


def test_everything_is_formatted(terraform):
    result = terraform.run(SOURCES, "fmt", "-check", "-recursive", "-diff", check=False)
    assert result.returncode == 0, result.stdout
    result = terraform.run(HERE / "originals", "fmt", "-check", "-recursive", "-diff", check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", MODULES + INNER_MODULES)
def test_a_module_passes_the_tests_beside_it(terraform, name):
    folder = terraform.sources / "modules" / name
    terraform.init(folder)
    result = terraform.run(folder, "test", "-json")
    summary = next(line["test_summary"] for line in map(json.loads, result.stdout.splitlines()) if "test_summary" in line)
    assert summary["status"] == "pass" and summary["passed"] >= 3, summary


@pytest.mark.parametrize("name", MODULES + EXAMPLES)
def test_every_root_is_valid_without_a_warning(terraform, name):
    folder = next(terraform.sources.glob(f"*/{name}"))
    terraform.init(folder)
    found = json.loads(terraform.run(folder, "validate", "-json", check=False).stdout)
    assert found["valid"] and found["diagnostics"] == []


def test_one_to_one_is_a_stream_a_function_and_a_bucket(examples, moto, package):
    root, region = examples["one-to-one"].result(), REGIONS["one-to-one"]
    outputs = root.outputs()
    stream = f"arn:aws:kinesis:{region}:{ACCOUNT}:stream/logs-0"
    queue = f"arn:aws:sqs:{region}:{ACCOUNT}:logs-0-given-up"
    configuration, mapping, statements = function(moto, region, "logs-0-to-s3")

    assert (configuration["Runtime"], configuration["Handler"]) == ("provided.al2023", "kinesis-to-s3")
    assert (configuration["Architectures"], configuration["MemorySize"], configuration["Timeout"]) == (["arm64"], 256, 60)
    assert configuration["CodeSha256"] == base64.b64encode(hashlib.sha256(package.read_bytes()).digest()).decode()
    assert configuration["Environment"]["Variables"] == {
        "BAIKONUR_MODULE": "kinesis-to-s3", "TZ": "UTC", "LOG_ID_FIELD": "log_id", "LOG_TYPE_FIELD": "log_type",
        "LOG_TIMESTAMP_FIELD": "time", "LOG_TYPE_UNKNOWN_PREFIX": "unknown", "LOG_S3_BUCKET": "logs-of-one-to-one",
        "LOG_S3_PREFIX": "archive", "FAILED_LOG_S3_BUCKET": "logs-of-one-to-one", "FAILED_LOG_S3_PREFIX": "archive-failed",
    }

    assert mapping["UUID"] == outputs["event_source_mapping_uuid"]
    assert mapping["EventSourceArn"] == stream
    assert mapping["State"] == "Enabled"
    assert (mapping["BatchSize"], mapping["MaximumBatchingWindowInSeconds"]) == (10000, 60)
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert (mapping["MaximumRecordAgeInSeconds"], mapping["MaximumRetryAttempts"]) == (86400, -1)
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == queue

    assert sorted(statements) == ["KeepFailedRecords", "ReadStream", "TellOfFailures", "WriteLogs", "WriteObjects"]
    assert resources(statements, "ReadStream", "TellOfFailures", "WriteObjects", "KeepFailedRecords") == [
        stream, queue, "arn:aws:s3:::logs-of-one-to-one/archive/*", "arn:aws:s3:::logs-of-one-to-one/archive-failed/*",
    ]

    described = client(moto, "kinesis", region).describe_stream_summary(StreamName="logs-0")["StreamDescriptionSummary"]
    assert (described["EncryptionType"], described["RetentionPeriodHours"]) == ("KMS", 24)
    groups = client(moto, "logs", region).describe_log_groups(logGroupNamePrefix="/aws/lambda/logs-0-to-s3")["logGroups"]
    assert [group["retentionInDays"] for group in groups] == [30]
    blocked = client(moto, "s3", region).get_public_access_block(Bucket="logs-of-one-to-one")
    assert all(blocked["PublicAccessBlockConfiguration"].values())

    topic = f"arn:aws:sns:{region}:{ACCOUNT}:logs-0-alarms"
    alarms = client(moto, "cloudwatch", region).describe_alarms()["MetricAlarms"]
    assert {alarm["MetricName"]: alarm["AlarmActions"] for alarm in alarms} == {
        "Errors": [topic], "Throttles": [topic], "IteratorAge": [topic],
    }
    assert {alarm["Dimensions"][0]["Value"] for alarm in alarms} == {"logs-0-to-s3"}
    told = client(moto, "sns", region).list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert [subscription["Endpoint"] for subscription in told] == ["operators@example.com"]


def test_one_to_many_has_a_mapping_for_each_destination_and_a_cleaner(examples, moto):
    root, region = examples["one-to-many"].result(), REGIONS["one-to-many"]
    stream = f"arn:aws:kinesis:{region}:{ACCOUNT}:stream/logs-1"
    functions = root.outputs()["functions"]
    assert functions == {"s3": "logs-1-to-s3", "elasticsearch": "logs-1-to-es", "fluent": "logs-1-to-fluent"}
    of = {name: function(moto, region, each) for name, each in functions.items()}
    assert [mapping["EventSourceArn"] for _, mapping, _ in of.values()] == [stream] * 3
    variables = {name: configuration["Environment"]["Variables"] for name, (configuration, _, _) in of.items()}
    assert variables["elasticsearch"]["ES_HOST"] == "search-logs.example.com"
    assert variables["elasticsearch"]["INDEX_NAME_PREFIX"] == "app"
    assert variables["elasticsearch"]["FAILED_LOG_S3_PREFIX"] == "failed/to-es"
    assert variables["fluent"]["LOG_FLUENT_SINK_ENDPOINT"] == "10.20.30.40"
    assert variables["fluent"]["LOG_FLUENT_TAG"] == "dev"
    assert of["elasticsearch"][2]["WriteDocuments"] == {
        "Sid": "WriteDocuments", "Effect": "Allow", "Resource": f"{ELASTICSEARCH['arn']}/*",
        "Action": ["es:ESHttpGet", "es:ESHttpHead", "es:ESHttpPost", "es:ESHttpPut"],
    }
    assert sorted(of["fluent"][2]) == ["KeepFailedRecords", "ReadStream", "WriteLogs"]

    cleaner, mapping, statements = function(moto, region, "logs-1-es-cleaner")
    assert mapping is None
    assert cleaner["Environment"]["Variables"] == {
        "BAIKONUR_MODULE": "es-cleaner", "TZ": "UTC", "ES_HOST": "search-logs.example.com", "BAIKONUR_MAX_AGE_DAYS": "30",
        "BAIKONUR_DRY_RUN_ONLY": "false", "BAIKONUR_INDEX_NAME_PREFIX": '["*"]', "BAIKONUR_EXCLUDE": '["*-reload"]',
    }
    assert statements["DeleteIndices"]["Action"] == ["es:ESHttpDelete", "es:ESHttpGet", "es:ESHttpHead"]
    events = client(moto, "events", region)
    rule = events.describe_rule(Name="logs-1-es-cleaner")
    assert (rule["ScheduleExpression"], rule["State"]) == ("cron(0 1 * * ? *)", "ENABLED")
    targets = events.list_targets_by_rule(Rule="logs-1-es-cleaner")["Targets"]
    assert [target["Arn"] for target in targets] == [cleaner["FunctionArn"]]
    allowed = json.loads(client(moto, "lambda", region).get_policy(FunctionName="logs-1-es-cleaner")["Policy"])
    (permission,) = allowed["Statement"]
    assert permission["Principal"] == {"Service": "events.amazonaws.com"}
    assert permission["Condition"]["ArnLike"]["AWS:SourceArn"] == rule["Arn"]


def assert_routes(moto, region, name):
    """The routing pattern with the default targets."""
    streams = f"arn:aws:kinesis:{region}:{ACCOUNT}:stream/{name}"
    whitelists = {"stream-a": "apache_*,nginx_*", "stream-b": "*,!apache_*,!nginx_*", "stream-c": None}
    for target, whitelist in whitelists.items():
        configuration, mapping, statements = function(moto, region, f"{name}-forward-{target}")
        variables = configuration["Environment"]["Variables"]
        assert variables["TARGET_STREAM_NAME"] == f"{name}-{target}"
        assert variables.get("LOG_TYPE_WHITELIST") == whitelist
        assert variables["FAILED_LOG_S3_PREFIX"] == f"failed/forward-{target}"
        assert mapping["EventSourceArn"] == f"{streams}-router"
        assert resources(statements, "ReadStream", "PutIntoTarget") == [f"{streams}-router", [f"{streams}-{target}"]]
        assert statements["PutIntoTarget"]["Action"] == "kinesis:PutRecords"
    for target in ("stream-a", "stream-b"):
        configuration, mapping, _ = function(moto, region, f"{name}-archive-{target}")
        assert configuration["Environment"]["Variables"]["LOG_S3_PREFIX"] == f"archive/{target}"
        assert mapping["EventSourceArn"] == f"{streams}-{target}"
    names = [each["FunctionName"] for each in client(moto, "lambda", region).list_functions()["Functions"]]
    assert f"{name}-archive-stream-c" not in names


def test_routing_forwards_by_log_type_and_archives_each_target(examples, moto):
    outputs = examples["routing"].result().outputs()
    assert outputs["router_name"] == "logs-2-router"
    assert outputs["target_names"] == {name: f"logs-2-{name}" for name in ("stream-a", "stream-b", "stream-c")}
    assert outputs["archives"] == {name: f"s3://logs-of-routing/archive/{name}" for name in ("stream-a", "stream-b")}
    assert_routes(moto, REGIONS["routing"], "logs-2")


def test_cloudwatch_logs_feeds_the_router_with_a_role_that_does_nothing_else(examples, moto):
    region = REGIONS["routing-cloudwatch-logs"]
    assert examples["routing-cloudwatch-logs"].result().outputs()["subscribed_log_groups"] == ["/app/web"]
    assert_routes(moto, region, "logs-3")
    router = f"arn:aws:kinesis:{region}:{ACCOUNT}:stream/logs-3-router"
    (subscription,) = client(moto, "logs", region).describe_subscription_filters(logGroupName="/app/web")["subscriptionFilters"]
    assert (subscription["destinationArn"], subscription["filterPattern"]) == (router, "{ $.level = ERROR }")
    iam = client(moto, "iam", region)
    role = iam.get_role(RoleName="logs-3-logs-to-router")["Role"]
    assert subscription["roleArn"] == role["Arn"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "logs.amazonaws.com"}
    assert trust["Condition"] == {"ArnLike": {"aws:SourceArn": f"arn:aws:logs:{region}:{ACCOUNT}:*"}}
    policy = iam.get_role_policy(RoleName="logs-3-logs-to-router", PolicyName="put-into-router")["PolicyDocument"]
    assert policy["Statement"] == [{"Effect": "Allow", "Action": "kinesis:PutRecord", "Resource": router}]


def differences(change):
    """The attributes that a change changes."""
    before, after = change["change"]["before"] or {}, change["change"]["after"] or {}
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


# What moto does not keep, and so cannot give back.
FORGOTTEN = {"aws_lambda_function": {"logging_config"}, "aws_cloudwatch_log_subscription_filter": {"distribution"}}


def test_a_second_plan_changes_nothing(examples, background):
    roots = [examples[name].result() for name in EXAMPLES]
    for name, plan in zip(EXAMPLES, background.map(lambda root: root.plan(), roots)):
        for address, change in plan.items():
            assert change["change"]["actions"] == ["update"], (name, address)
            assert differences(change) <= FORGOTTEN.get(change["type"], set()), (name, address, differences(change))
            after = change["change"]["after"]
            if change["type"] == "aws_lambda_function":
                (logging,) = after["logging_config"]
                assert (logging["log_format"], logging["log_group"]) == ("JSON", f"/aws/lambda/{after['id']}")
            else:
                assert after["distribution"] == "Random"


def test_a_bundle_is_a_package_from_a_url_with_a_checksum(terraform, package, tmp_path):
    (tmp_path / "served").mkdir()
    (tmp_path / "root").mkdir()
    made = subprocess.run(
        [sys.executable, SOURCES / "bundle.py", package, tmp_path / "served" / "bundle.zip"], check=True,
        capture_output=True, text=True,
    )
    query = made.stdout.strip()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=tmp_path / "served")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def init(query):
            source = f"http://127.0.0.1:{server.server_port}/bundle.zip{query}"
            (tmp_path / "root" / "main.tf").write_text(f'''
                module "package" {{
                  source = "{source}"
                }}

                output "sha256" {{
                  value = filesha256(module.package.file)
                }}
            ''')
            return terraform.run(tmp_path / "root", "init", check=False)

        other = init("?checksum=sha256:" + "0" * 64)
        assert other.returncode != 0 and "Checksums did not match" in other.stderr
        assert init(query).returncode == 0
        server.shutdown()
    terraform.run(tmp_path / "root", "apply", "-auto-approve")
    outputs = json.loads(terraform.run(tmp_path / "root", "output", "-json").stdout)
    assert outputs["sha256"]["value"] == hashlib.sha256(package.read_bytes()).hexdigest()


MIGRATION_REGION = "ap-northeast-1"


def migrated(terraform, moto, package):
    folder = terraform.folder / "migration"
    folder.mkdir()
    shutil.copytree(HERE / "originals", folder / "originals")
    client(moto, "kinesis", MIGRATION_REGION).create_stream(StreamName="logs", ShardCount=1)

    def module(source):
        (folder / "main.tf").write_text(f'''
            variable "region" {{
              type = string
            }}

            module "logs" {{
              source = "{source}"

              name                = "to_s3"
              batch_size          = 100
              lambda_package_file = "{package}"
              kinesis_stream_arn  = "arn:aws:kinesis:{MIGRATION_REGION}:{ACCOUNT}:stream/logs"
              log_bucket          = "archive"
              log_path_prefix     = "logs/"
            }}
        ''')

    module("./originals")
    root = Root(terraform, folder, moto, {"region": MIGRATION_REGION}).apply()
    before = function(moto, MIGRATION_REGION, "to_s3")
    # The one thing that a user changes.
    module("../terraform/modules/kinesis-to-s3")
    terraform.init(folder)
    plan = root.plan()
    root.apply()
    return before, plan, function(moto, MIGRATION_REGION, "to_s3")


def test_a_state_of_the_originals_goes_on_and_keeps_its_position_in_the_stream(migration):
    (old, before, _), plan, (new, after, statements) = migration.result()
    actions = {address.removeprefix("module.logs."): change["change"]["actions"] for address, change in plan.items()}
    assert actions == {
        "module.function.aws_lambda_function.function": ["update"],
        "module.function.aws_cloudwatch_log_group.logs": ["no-op"],
        "module.function.aws_iam_role.role": ["no-op"],
        "module.function.aws_iam_role_policy.policy": ["update"],
        "module.mapping.aws_lambda_event_source_mapping.kinesis": ["update"],
        "module.iam.aws_iam_instance_profile.instance_role": ["delete"],
        "aws_iam_role_policy_attachment.xray_access": ["delete"],
        "aws_iam_policy.xray": ["delete"],
    }
    kinesis = plan["module.logs.module.mapping.aws_lambda_event_source_mapping.kinesis"]
    assert kinesis["previous_address"] == "module.logs.aws_lambda_event_source_mapping.kinesis_mapping"

    assert after["UUID"] == before["UUID"]
    assert (before.get("FunctionResponseTypes"), after["FunctionResponseTypes"]) == (None, ["ReportBatchItemFailures"])
    assert (old["Runtime"], old["Handler"]) == ("python3.8", "main.handler")
    assert (new["Runtime"], new["Handler"]) == ("provided.al2023", "kinesis-to-s3")
    assert new["Environment"]["Variables"]["LOG_S3_PREFIX"] == "logs"
    assert resources(statements, "WriteObjects") == ["arn:aws:s3:::archive/logs/*"]


def test_destroy_leaves_nothing(examples, moto, background):
    roots = [examples[name].result() for name in EXAMPLES]
    list(background.map(lambda root: root.destroy(), roots))
    assert [root.state() for root in roots] == [set()] * len(roots)
    for region in REGIONS.values():
        assert client(moto, "lambda", region).list_functions()["Functions"] == []
        assert client(moto, "lambda", region).list_event_source_mappings()["EventSourceMappings"] == []
        assert client(moto, "kinesis", region).list_streams()["StreamNames"] == []
    names = [role["RoleName"] for role in client(moto, "iam", "us-east-1").list_roles()["Roles"]]
    assert [name for name in names if "logs-" in name] == []
