"""Signature Version 4 as boto3, the AWS CLI and our own commands make it: verified, and refused for the right reason."""

import datetime
import json
import os
import subprocess
from hashlib import sha256

import boto3
import pytest
import urllib3
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from baikonur_server import Baikonur, binary
from parts.process import part
from test_tls import Secured

OWNER = Credentials("AKIDOWNER", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
GUEST = Credentials("ASIAGUEST", "guests/secret+1=", "IQoJb3JpZ2luX2VjE==/+token")
STRANGER = Credentials("AKIDSTRANGER", "of/another/account")
REGION = "us-east-1"
FILE = f"""# As `aws configure` writes it.
[default]
aws_access_key_id = {OWNER.access_key}
aws_secret_access_key = {OWNER.secret_key}

[guest]
aws_access_key_id = {GUEST.access_key}
aws_secret_access_key = {GUEST.secret_key}
aws_session_token = {GUEST.token}

[stranger]
aws_access_key_id = {STRANGER.access_key}
aws_secret_access_key = {STRANGER.secret_key}
aws_account_id = 222222222222
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signatures")
    (folder / "credentials").write_text(FILE)
    config = {"server": {"credentials_file": str(folder / "credentials")}, "streams": {"logs": {"shards": 1}}}
    with Baikonur(folder, config) as running:
        yield running


def client(server, credentials, region=REGION):
    return boto3.client(
        "kinesis", endpoint_url=server.endpoint, region_name=region,
        aws_access_key_id=credentials.access_key, aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.token, config=Config(retries={"total_max_attempts": 1}),
    )


def refused(call):
    """Code and message of the error that a call ends with."""
    with pytest.raises(ClientError) as caught:
        call()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def clock_of_client(monkeypatch, minutes):
    """Sets the clock that botocore signs by."""
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: now)


@pytest.mark.parametrize("credentials", [OWNER, GUEST], ids=["owner", "guest with a session token"])
def test_the_right_key_works(server, credentials):
    kinesis = client(server, credentials)
    data = "{\"x\":\"é世🦀\"}".encode() * 1000
    put = kinesis.put_record(StreamName="logs", Data=data, PartitionKey="é世🦀")
    iterator = kinesis.get_shard_iterator(
        StreamName="logs", ShardId=put["ShardId"], ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=put["SequenceNumber"],
    )["ShardIterator"]
    records = kinesis.get_records(ShardIterator=iterator)["Records"]
    assert records[0]["Data"] == data


def test_accounts_and_regions_do_not_see_each_other(server):
    """The same name, four streams: by account and by region, each with its own records, ARN, tags and limits."""
    homes = [
        (OWNER, "us-east-1", "000000000000"), (OWNER, "eu-west-1", "000000000000"),
        (STRANGER, "us-east-1", "222222222222"), (STRANGER, "eu-west-1", "222222222222"),
    ]
    clients = [client(server, credentials, region) for credentials, region, _ in homes]
    for kinesis in clients[1:]:
        assert kinesis.list_streams()["StreamNames"] == []
        with pytest.raises(kinesis.exceptions.ResourceNotFoundException):
            kinesis.put_record(StreamName="logs", Data=b"", PartitionKey="a")
        kinesis.create_stream(StreamName="logs", ShardCount=1)
    iterators = []
    for kinesis, (_, region, account) in zip(clients, homes):
        arn = f"arn:aws:kinesis:{region}:{account}:stream/logs"
        assert kinesis.describe_stream_summary(StreamName="logs")["StreamDescriptionSummary"]["StreamARN"] == arn
        assert kinesis.describe_limits()["OpenShardCount"] == 1
        kinesis.tag_resource(ResourceARN=arn, Tags={"home": f"{region}:{account}"})
        put = kinesis.put_record(StreamARN=arn, Data=arn.encode(), PartitionKey="a")
        iterators.append(kinesis.get_shard_iterator(
            StreamName="logs", ShardId=put["ShardId"], ShardIteratorType="AT_SEQUENCE_NUMBER",
            StartingSequenceNumber=put["SequenceNumber"])["ShardIterator"])
    for place, (kinesis, (_, region, account)) in enumerate(zip(clients, homes)):
        arn = f"arn:aws:kinesis:{region}:{account}:stream/logs"
        assert kinesis.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "home", "Value": f"{region}:{account}"}]
        records = kinesis.get_records(ShardIterator=iterators[place])["Records"]
        assert [record["Data"] for record in records] == [arn.encode()]
        for other in (place + 1) % 4, (place + 2) % 4:
            assert refused(lambda: kinesis.get_records(ShardIterator=iterators[other]))[0] == "InvalidArgumentException"
            _, other_region, other_account = homes[other]
            foreign = f"arn:aws:kinesis:{other_region}:{other_account}:stream/logs"
            assert refused(lambda: kinesis.describe_stream(StreamARN=foreign))[0] == "ResourceNotFoundException"
    for kinesis in clients[1:]:
        kinesis.delete_stream(StreamName="logs")
    assert clients[0].list_streams()["StreamNames"] == ["logs"]


def test_a_wrong_secret_is_refused(server):
    wrong = client(server, Credentials(OWNER.access_key, "wrong"))
    code, message = refused(wrong.list_streams)
    assert code == "InvalidSignatureException"
    assert message.startswith("The request signature we calculated does not match the signature you provided.")


@pytest.mark.parametrize("wrong", [
    Credentials("AKIDNOBODY", OWNER.secret_key),
    Credentials(GUEST.access_key, GUEST.secret_key),
    Credentials(GUEST.access_key, GUEST.secret_key, "another token"),
    Credentials(OWNER.access_key, OWNER.secret_key, GUEST.token),
], ids=["unknown key", "no session token", "another session token", "a token of another"])
def test_an_unknown_key_or_token_is_refused(server, wrong):
    expected = ("UnrecognizedClientException", "The security token included in the request is invalid.")
    assert refused(client(server, wrong).list_streams) == expected


@pytest.mark.parametrize("minutes, message", [(-16, "Signature expired: "), (16, "Signature not yet current: ")])
def test_clocks_too_far_apart_are_refused(server, monkeypatch, minutes, message):
    clock_of_client(monkeypatch, minutes)
    code, told = refused(client(server, OWNER).list_streams)
    assert code == "InvalidSignatureException" and told.startswith(message), told
    assert told.endswith("15 min.)"), told


@pytest.mark.parametrize("minutes", [-14, 14])
def test_clocks_a_little_apart_do_not_matter(server, monkeypatch, minutes):
    clock_of_client(monkeypatch, minutes)
    assert client(server, OWNER).list_streams()["StreamNames"] == ["logs"]


class Presigned(auth.SigV4QueryAuth):
    """botocore moves the body of a presigned request into its query; here it stays, and is signed."""

    def __init__(self, credentials, body, seconds):
        super().__init__(credentials, "kinesis", REGION, expires=seconds)
        self.body = body

    def payload(self, request):
        return sha256(self.body).hexdigest()


def presigned(server, credentials, body, seconds):
    """A request to list streams that anybody can send for a while."""
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Kinesis_20131202.ListStreams"}
    request = AWSRequest("POST", f"{server.endpoint}/", headers)
    Presigned(credentials, body, seconds).add_auth(request)
    return request.url, headers


def post(url, headers, body):
    answer = urllib3.request("POST", url, headers=headers, body=body, retries=False, timeout=10)
    return answer.status, answer.json()


@pytest.mark.parametrize("credentials", [OWNER, GUEST], ids=["owner", "guest"])
def test_presigned_addresses_work_for_as_long_as_they_say(server, monkeypatch, credentials):
    body = b'{"Limit":1}'
    url, headers = presigned(server, credentials, body, 60)
    status, answer = post(url, headers, body)
    assert (status, answer["StreamNames"]) == (200, ["logs"])
    status, answer = post(url, headers, b'{"Limit":2}')
    assert (status, answer["__type"]) == (400, "InvalidSignatureException")
    status, answer = post(url, {**headers, "X-Amz-Target": "Kinesis_20131202.DeleteStream"}, body)
    assert (status, answer["__type"]) == (400, "InvalidSignatureException")
    clock_of_client(monkeypatch, -2)
    url, headers = presigned(server, credentials, body, 60)
    status, answer = post(url, headers, body)
    assert status == 400 and answer["message"].startswith("Signature expired: "), answer
    url, headers = presigned(server, credentials, body, 604_801)
    status, answer = post(url, headers, body)
    assert (status, answer["__type"]) == (400, "IncompleteSignatureException")


class Unsigned(auth.SigV4Auth):
    """The body is left out of what is signed, as it may be where it is encrypted."""

    def payload(self, request):
        return "UNSIGNED-PAYLOAD"


def test_a_body_may_be_unsigned_where_it_is_encrypted_alone(server, tmp_path):
    def ask(endpoint, body, ask_pool):
        headers = {
            "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Kinesis_20131202.ListStreams",
            "X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD",
        }
        request = AWSRequest("POST", f"{endpoint}/", headers)
        Unsigned(OWNER, "kinesis", REGION).add_auth(request)
        answer = ask_pool.request("POST", f"{endpoint}/", headers=dict(request.headers), body=body, retries=False, timeout=10)
        return answer.status, answer.json()

    status, answer = ask(server.endpoint, b'{"Limit":1}', urllib3.PoolManager())
    assert (status, answer["__type"]) == (400, "InvalidSignatureException")
    assert "UNSIGNED-PAYLOAD is for encrypted connections" in answer["message"]
    (tmp_path / "credentials").write_text(FILE)
    with Secured(tmp_path, credentials_file=str(tmp_path / "credentials")) as secured:
        pool = urllib3.PoolManager(ca_certs=str(secured.authority))
        for body in (b'{"Limit":1}', b"{}"):
            assert ask(secured.endpoint, body, pool) == (200, {"HasMoreStreams": False, "StreamNames": [], "StreamSummaries": []})


def variables(credentials):
    """The environment of a command that signs with these."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    token = {"AWS_SESSION_TOKEN": credentials.token} if credentials.token else {}
    return {
        **own, "AWS_ACCESS_KEY_ID": credentials.access_key, "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_DEFAULT_REGION": REGION, "AWS_PAGER": "", **token,
    }


def run(credentials, *words, text=b""):
    return subprocess.run(
        [str(word) for word in words], env=variables(credentials), input=text, capture_output=True, timeout=60, check=False,
    )


def test_the_aws_cli_is_let_in_with_the_right_key_alone(server):
    words = (part("venv", "bin", "aws"), "--endpoint-url", server.endpoint, "kinesis", "list-streams", "--output", "json")
    done = run(GUEST, *words)
    assert done.returncode == 0 and json.loads(done.stdout)["StreamNames"] == ["logs"], done
    done = run(Credentials(OWNER.access_key, "wrong"), *words)
    assert done.returncode != 0 and b"InvalidSignatureException" in done.stderr, done


def test_put_signs_with_the_keys_of_the_environment(server):
    words = (binary(), "put", "logs", "--endpoint", server.endpoint)
    for credentials in (OWNER, GUEST):
        done = run(credentials, *words, text=b'{"log_type":"a"}\n')
        assert done.returncode == 0, done
    done = run(Credentials(OWNER.access_key, "wrong"), *words, text=b"{}\n")
    assert done.returncode == 1 and b"InvalidSignatureException" in done.stderr, done
    assert b"wrong" not in done.stderr + done.stdout


def test_secrets_are_neither_logged_nor_printed(server):
    config = server.folder / "baikonur.toml"
    checked = run(OWNER, binary(), "check", config)
    assert checked.returncode == 0, checked
    for text in (server.log.read_text(), checked.stdout.decode(), checked.stderr.decode()):
        assert OWNER.secret_key not in text and GUEST.secret_key not in text and GUEST.token not in text
