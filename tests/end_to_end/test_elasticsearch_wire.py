"""kinesis-to-es where the wire or the cluster fails: every record arrives, none twice; signatures as botocore makes them.

The cluster is a double that is broken on purpose (parts/search_cluster.py); the real nodes are in test_elasticsearch.py.
"""

import datetime
import ipaddress
import json
import random
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from baikonur_server import Baikonur, failed_records, put_all
from parts.process import free_port
from parts.search_cluster import (
    SearchCluster, applied_then_500, applied_then_reset, busy, cut_answer, partly_busy, reset_in_body, server_context,
    slow_reader,
)
from parts.waiting import eventually

RECORDS = 3000
FAULTS = (
    reset_in_body, slow_reader, busy, applied_then_500, applied_then_reset, cut_answer, partly_busy,
)


def configuration(*nodes, **keys):
    module = {
        "type": "kinesis-to-es", "source": "router", "destination": list(nodes), "index_name_prefix": "app",
        "batch_size": 200, "bulk_records": 100, **keys,
    }
    return {"streams": {"router": {"shards": 2}}, "modules": {"index": module}}


def put(server, count=RECORDS, start=0):
    """Puts numbered records; gives their ids."""
    record = lambda number: json.dumps({
        "log_type": "auth", "log_id": f"id-{number:06}", "time": "2025-01-02T03:04:05Z", "text": "x" * 200,
    }).encode()
    put_all(server.client(), "router", [(record(number), str(number)) for number in range(start, start + count)])
    return [f"id-{number:06}" for number in range(start, start + count)]


def arrive(ids, *clusters, seconds=90):
    """Waits until all are there, and fails for one that is not, or is there twice."""
    eventually(lambda: sum(len(cluster.documents) for cluster in clusters) >= len(ids), "all documents", seconds)
    assert sorted(one for cluster in clusters for one in cluster.ids()) == ids


@pytest.mark.parametrize("write_to", ["daily_indices", "data_streams"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_loses_and_doubles_nothing(tmp_path, fault, write_to):
    with SearchCluster() as cluster:
        cluster.faults = [None, fault, fault, None, None, fault]
        with Baikonur(tmp_path, configuration(cluster.endpoint, write_to=write_to)) as server:
            arrive(put(server, 600), cluster)
            eventually(lambda: not cluster.faults, "all faults met")
        assert failed_records(server.data / "failed") == []
        index = "app-auth" if write_to == "data_streams" else "app-auth-20250102"
        assert {target for target, _ in cluster.documents} == {index}


def test_a_storm_of_faults_over_two_nodes_one_of_which_goes_and_comes(tmp_path):
    generator = random.Random(7)
    with SearchCluster() as shared:
        other = SearchCluster()
        other.store = shared.store
        for cluster in (shared, other):
            # Documents are the cluster's, whichever node took them.
            cluster.faults = [generator.choice((*FAULTS, None, None)) for _ in range(30)]
        config = configuration(shared.endpoint, other.endpoint, gzip=True, busy_retries=2)
        with Baikonur(tmp_path, config) as server:
            ids = put(server)
            eventually(lambda: len(shared.documents) > RECORDS // 3, "a third")
            other.close()
            ids += put(server, start=RECORDS)
            eventually(lambda: len(shared.documents) > RECORDS, "one node is enough")
            other = SearchCluster(port=other.port)
            other.store = shared.store
            ids += put(server, start=2 * RECORDS)
            arrive(ids, shared, seconds=180)
            eventually(lambda: put(server, 10, 3 * RECORDS) and other.bulks(), "a node that is back is used", 60, 1)
        other.close()
        assert failed_records(server.data / "failed") == []


def test_a_cluster_that_hides_its_version_is_delivered_to(tmp_path):
    forbidden = (403, {"error": {"type": "security_exception", "reason": "no permissions for [cluster:monitor/main]"}})
    with SearchCluster(root=forbidden) as cluster, Baikonur(tmp_path, configuration(cluster.endpoint)) as server:
        arrive(put(server, 100), cluster)
        assert "does not tell its version" in server.log_tail(200)


def test_an_elasticsearch_that_is_too_old_gets_nothing_and_says_why(tmp_path):
    old = (200, {"version": {"number": "6.8.23", "build_flavor": "default"}})
    with SearchCluster(root=old) as cluster, Baikonur(tmp_path, configuration(cluster.endpoint)) as server:
        put(server, 10)
        eventually(lambda: "it has to be 7 or later" in server.log_tail(200), "the reason in the log")
        assert not cluster.documents
        # What waits in the stream is not lost: the cluster is renewed.
        cluster.root = (200, {"version": {"number": "9.0.0", "build_flavor": "default"}})
        eventually(lambda: len(cluster.documents) == 10, "all documents")


SERVERS = {
    "ilm": ("/_ilm/policy/baikonur-app", {"version": {"number": "9.2.2", "build_flavor": "default"}}),
    "ism": ("/_plugins/_ism/policies/baikonur-app", {"version": {"number": "2.19.1", "distribution": "opensearch"}}),
    "ism_of_a_domain": (
        "/_opendistro/_ism/policies/baikonur-app", {"version": {"number": "7.10.2", "build_flavor": "oss"}}),
}


@pytest.mark.parametrize("kind", SERVERS)
def test_a_policy_is_put_once_and_changed_with_the_settings_and_never_over_a_foreign_one(tmp_path, kind):
    """The real nodes have no policies: those are parts that no registry has."""
    path, root = SERVERS[kind]
    template = "/_index_template/baikonur-app"

    def puts():
        return [request.path.partition("?")[0] for request in cluster.requests if request.command == "PUT"]

    with SearchCluster(root=(200, root)) as cluster:
        keys = {"install_templates": True, "retention_days": 30}
        server = Baikonur(tmp_path, configuration(cluster.endpoint, **keys))
        with server:
            ids = put(server, 100)
            arrive(ids, cluster)
        assert puts() == [path, template]
        assert "30d" in json.dumps(cluster.installed[path][1])
        attached = json.dumps(cluster.installed[template if kind == "ilm" else path][1])
        assert ("index.lifecycle.name" if kind == "ilm" else "app-*") in attached
        # The same again puts nothing; other days change the policy alone.
        for days, changed in ((30, []), (31, [path])):
            cluster.requests.clear()
            server.config = configuration(cluster.endpoint, **{**keys, "retention_days": days})
            with server.start():
                ids += put(server, 10, len(ids))
                arrive(ids, cluster)
            assert puts() == changed
        assert "31d" in json.dumps(cluster.installed[path][1])
        cluster.installed[path] = (7, {"policy": {"description": "of the operators", "phases": {}}})
        cluster.requests.clear()
        with server.start():
            ids += put(server, 10, len(ids))
            eventually(lambda: "that baikonur did not make" in server.log_tail(200), "the reason in the log")
            assert puts() == [] and len(cluster.documents) == len(ids) - 10
        server.config = configuration(cluster.endpoint, overwrite_templates=True, **keys)
        with server.start():
            arrive(ids, cluster)
        assert "30d" in json.dumps(cluster.installed[path][1])


def certificates(folder):
    """An authority, and a certificate of it for 127.0.0.1: (ca.pem, certificate.pem, key.pem)."""
    now = datetime.datetime.now(datetime.timezone.utc)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in ("authority", "node")]

    def made(subject, is_authority):
        builder = (
            x509.CertificateBuilder().subject_name(names[subject]).issuer_name(names[0])
            .public_key(keys[subject].public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if not is_authority:
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        return builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    files = [folder / name for name in ("ca.pem", "certificate.pem", "key.pem")]
    key = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for file, data in zip(files, (made(0, True), made(1, False), key)):
        file.write_bytes(data)
    return files


def test_a_cluster_with_an_authority_of_its_own_is_trusted_by_ca_file_alone(tmp_path):
    authority, certificate, key = certificates(tmp_path)
    with SearchCluster(context=server_context(certificate, key)) as cluster:
        server = Baikonur(tmp_path, configuration(cluster.endpoint))
        with server:
            ids = put(server, 100)
            eventually(lambda: "as `ca_file`" in server.log_tail(200), "a hint in the log")
            assert not cluster.requests
        server.config = configuration(cluster.endpoint, ca_file=str(authority), username="me", password="s3cret")
        with server.start():
            arrive(ids, cluster)
        assert {request.headers["Authorization"] for request in cluster.bulks()} == {"Basic bWU6czNjcmV0"}
        assert "s3cret" not in server.log.read_text()


def test_an_api_key_is_sent(tmp_path):
    with SearchCluster() as cluster, Baikonur(tmp_path, configuration(cluster.endpoint, api_key="a2V5")) as server:
        arrive(put(server, 10), cluster)
        assert {request.headers["Authorization"] for request in cluster.requests} == {"ApiKey a2V5"}


class Verifier:
    """Verifies signatures by signing again with botocore."""

    def __init__(self, service, region):
        self.service, self.region = service, region
        self.known, self.expired, self.verified = {}, set(), []

    def __call__(self, request):
        """What Amazon would say against a request; None when its signature is good."""
        found = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
            r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})", request.headers.get("Authorization", ""))
        if not found:
            return "Missing Authentication Token"
        key, _, region, service, signed, signature = found.groups()
        if key in self.expired:
            return "The security token included in the request is expired"
        if key not in self.known or (region, service) != (self.region, self.service):
            return f"Credential should be scoped to a valid region: {found[0]}"
        assert {"host", "x-amz-date", "x-amz-content-sha256"} <= set(signed.split(";"))
        headers = {name: request.headers[name] for name in signed.split(";") if name not in ("x-amz-date", "host")}
        secret, token = self.known[key]
        assert request.headers.get("X-Amz-Security-Token") == token
        again = AWSRequest(
            request.command, f"http://{request.headers['Host']}{request.path}", headers=headers, data=request.body)
        at = datetime.datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
        age = abs(datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - at)
        assert age < datetime.timedelta(minutes=5)
        # botocore adds it by itself.
        headers.pop("x-amz-security-token", None)
        with mock.patch("botocore.auth.get_current_datetime", return_value=at):
            SigV4Auth(Credentials(key, secret, token), service, region).add_auth(again)
        if again.headers["Authorization"] != found[0]:
            return f"The request signature we calculated does not match: {again.headers['Authorization']}"
        self.verified.append(request.path)
        return None


@pytest.mark.parametrize("service", ["es", "aoss"])
@pytest.mark.parametrize("gzip", [False, True])
def test_requests_to_managed_services_are_signed_as_botocore_does(tmp_path, service, gzip):
    with SearchCluster() as cluster:
        cluster.verify = verifier = Verifier(service, "eu-north-1")
        verifier.known["AKIDSTATIC"] = ("static secret/+", None)
        environment = {"AWS_ACCESS_KEY_ID": "AKIDSTATIC", "AWS_SECRET_ACCESS_KEY": "static secret/+"}
        config = configuration(
            f"{cluster.endpoint}", aws_service=service, aws_region="eu-north-1", gzip=gzip, pipeline="a b/c*")
        with Baikonur(tmp_path, config, environment) as server:
            arrive(put(server, 300), cluster)
        assert verifier.verified and len(verifier.verified) == len(cluster.requests)
        # OpenSearch Serverless has no `/`, and documents no filters of answers.
        assert ("/" in verifier.verified) == (service == "es")
        assert all(("filter_path" in path) == (service == "es") for path in verifier.verified if "_bulk" in path)


class ContainerCredentials:
    """The endpoint that gives a container's role its credentials; a new key whenever it is told so."""

    def __init__(self):
        self.number, self.asked = 1, 0
        given = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                given.asked += 1
                later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=6)
                data = json.dumps({
                    "AccessKeyId": f"AKIDROLE{given.number}", "SecretAccessKey": f"secret {given.number}",
                    "Token": f"token {given.number}", "Expiration": later.strftime("%Y-%m-%dT%H:%M:%SZ"),
                }).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/role"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


def test_credentials_that_expire_under_way_are_renewed(tmp_path):
    with SearchCluster() as cluster, ContainerCredentials() as role:
        cluster.verify = verifier = Verifier("es", "us-east-1")
        for number in (1, 2):
            verifier.known[f"AKIDROLE{number}"] = (f"secret {number}", f"token {number}")
        environment = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": role.url, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        }
        config = configuration(cluster.endpoint, aws_service="es", aws_region="us-east-1")
        with Baikonur(tmp_path, config, environment) as server:
            ids = put(server, 300)
            arrive(ids, cluster)
            assert role.asked == 1
            # Nobody gives new ones yet: everything waits.
            verifier.expired.add("AKIDROLE1")
            ids += put(server, 300, 300)
            eventually(lambda: "is expired" in server.log_tail(400), "the reason in the log")
            assert len(cluster.documents) == 300
            role.number = 2
            arrive(ids, cluster)
        assert failed_records(server.data / "failed") == []


def test_a_node_that_was_never_there_is_gone_round(tmp_path):
    with SearchCluster() as cluster:
        config = configuration(f"http://127.0.0.1:{free_port()}", cluster.endpoint)
        with Baikonur(tmp_path, config) as server:
            arrive(put(server), cluster)
