"""TLS as real clients speak it: boto3, the AWS CLI and the commands, with a generated certificate or with files."""

import shutil
import socket
import ssl
import stat
import subprocess
import warnings

import boto3
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import SSLError

from baikonur_server import REGION, Baikonur, binary, put_all, read_stream

MIB = 1 << 20


class Secured(Baikonur):
    """With TLS; `server` are more keys of its section."""

    def __init__(self, folder, **server):
        super().__init__(folder, {"server": {"tls": "generated", **server}})
        self.endpoint = f"https://127.0.0.1:{self.port}"
        self.authority = self.data / "tls" / "ca.pem"

    def is_ready(self):
        """Whether it listens, trusted or not: that is for the tests to find out."""
        pool = urllib3.HTTPSConnectionPool("127.0.0.1", self.port, cert_reqs="CERT_NONE", retries=False, timeout=2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
            try:
                return pool.request("GET", "/health").status == 200
            except urllib3.exceptions.HTTPError:
                return False

    def client(self, authority=None, host="127.0.0.1"):
        return boto3.client(
            "kinesis", endpoint_url=f"https://{host}:{self.port}", region_name=REGION, aws_access_key_id="local",
            aws_secret_access_key="local", verify=str(authority or self.authority),
            config=Config(retries={"total_max_attempts": 1}),
        )

    def shown(self):
        """The certificate that the server shows now."""
        return ssl.get_server_certificate(("127.0.0.1", self.port), timeout=5)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Secured(tmp_path_factory.mktemp("tls")) as server:
        yield server


def test_boto3_writes_and_reads_over_https_by_every_name(server):
    for host in ("127.0.0.1", "localhost"):
        client = server.client(host=host)
        name = f"boto3-{host}"
        client.create_stream(StreamName=name, ShardCount=2)
        entries = [(bytes([n]) * (MIB - 100), f"{n}") for n in range(12)]
        put_all(client, name, entries)
        read = [record["Data"] for records in read_stream(client, name).values() for record in records]
        assert sorted(read) == sorted(data for data, _ in entries)


def test_who_does_not_trust_it_or_speaks_no_tls_gets_nothing(server, tmp_path):
    with Secured(tmp_path) as other:
        with pytest.raises(SSLError):
            server.client(authority=other.authority).list_streams()
    answer = urllib3.request("GET", f"http://127.0.0.1:{server.port}/health", retries=False)
    assert answer.status == 400 and b"use https" in answer.data
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as stream:
        stream.sendall(b"\x16\x03\x01\x00\x05wrong")
        assert b"HTTP" not in stream.recv(1000)
    assert server.client().list_streams()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_protocols_are_agreed_upon_and_old_ones_refused(server):
    for offered, agreed in ((["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), ([], None)):
        context = ssl.create_default_context(cafile=server.authority)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        if offered:
            context.set_alpn_protocols(offered)
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as stream:
                assert stream.selected_alpn_protocol() == agreed
                assert stream.version() == "TLSv1.3"


def test_the_cli_and_the_commands_take_the_authority(server, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(server.authority))
    server.aws("create-stream", "--stream-name", "commands", "--shard-count", "1")
    done = subprocess.run(
        [binary(), "put", "commands", "--endpoint", server.endpoint], input=b"one\n", timeout=30, check=True,
        capture_output=True,
    )
    assert b"records" in done.stderr
    assert server.aws("list-streams")["StreamNames"].count("commands") == 1
    monkeypatch.delenv("AWS_CA_BUNDLE")
    tail = [binary(), "tail", "commands", "--no-follow", "--from", "trim-horizon", "--endpoint", server.endpoint]
    done = subprocess.run([*tail, "--ca-file", server.authority], timeout=30, check=True, capture_output=True)
    assert done.stdout == b"one\n"
    done = subprocess.run(tail, timeout=30, check=False, capture_output=True)
    assert done.returncode == 1 and b"--ca-file" in done.stderr


def test_a_generated_certificate_outlives_restarts_and_its_key_is_private(tmp_path):
    with Secured(tmp_path) as server:
        key = server.data / "tls" / "key.pem"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        before = server.shown()
        assert str(server.authority) in server.log.read_text()
        assert server.stop() == 0
        server.start()
        assert server.shown() == before
        server.client().list_streams()


def test_files_are_used_and_a_renewal_is_noticed_without_a_restart(tmp_path):
    made = []
    for name in ("old", "new"):
        with Secured(tmp_path / name, tls_host="logs.example.com") as maker:
            made.append(maker.data / "tls")
    old, new = made
    files = tmp_path / "files"
    shutil.copytree(old, files)
    keys = {"tls": "files", "tls_certificate": str(files / "certificate.pem"), "tls_key": str(files / "key.pem")}
    with Secured(tmp_path / "server", **keys) as server:
        server.client(authority=old / "ca.pem").list_streams()
        # Half of it: the old pair is shown until the other half is there.
        shutil.copy(new / "certificate.pem", files)
        server.client(authority=old / "ca.pem").list_streams()
        shutil.copy(new / "key.pem", files)
        server.client(authority=new / "ca.pem").list_streams()
        with pytest.raises(SSLError):
            server.client(authority=old / "ca.pem").list_streams()
        assert "cannot be used" in server.log.read_text()
