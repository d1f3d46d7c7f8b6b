"""kinesis-to-fluent at real receivers: every event arrives, whatever the form, the security and what breaks in between."""

import json
import random
import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pytest

from baikonur_server import Baikonur, failed_records, put_all
from parts.certificates import Authority
from parts.faulty_wire import Fault, FaultyWire
from parts.fluent_receiver import FluentReceiver, OtelCollector
from parts.waiting import eventually
from starting import available, started

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
KEY, USER, PASSWORD = "a shared key", "sender", "secret word"
FORMS = [(record, compression) for record in ("message", "fields") for compression in ("none", "gzip")]


@dataclass(frozen=True)
class Event:
    """An event, and what a receiver is to make of it."""

    tag: str
    seconds: int
    nanoseconds: int
    line: str

    def record(self, form):
        return {"message": self.line} if form == "message" else json.loads(self.line)


def events(count, pad=0):
    """Events of three types, with values of every kind, at different microseconds."""
    made = []
    for number in range(count):
        moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc) + timedelta(seconds=number)
        log_type = ("web", "api server", "é/db")[number % 3]
        fields = {
            "log_type": log_type, "log_id": f"id-{number}", "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{number:06}Z",
            "message": f"line {number} \"quoted\" \\ \n é日😀", "number": number, "negative": -number, "half": number / 2 + 0.25,
            "yes": True, "nested": {"list": [1, "two", {"three": 3}], "empty": {}}, "pad": random.Random(number).randbytes(pad // 2).hex(),
        }
        tag = ("web", "api%20server", "%C3%A9%2Fdb")[number % 3]
        seconds = int((moment - EPOCH).total_seconds())
        made.append(Event(f"{tag}.tag", seconds, 1000 * number, json.dumps(fields, ensure_ascii=False)))
    return made


def module(destination, **settings):
    plain = {"type": "kinesis-to-fluent", "source": "router", "time_precision": "nanoseconds"}
    return {**plain, **({"fluent_tag": "tag"} if "tag" not in settings else {}), **destination, **settings}


class Pipeline(Baikonur):
    """One stream, and a module for each of `modules`."""

    def __init__(self, folder, shards=2, **modules):
        for settings in modules.values():
            settings.setdefault("failed_store", f"file://{folder}/failed")
        super().__init__(folder, {"streams": {"router": {"shards": shards}}, "modules": modules})

    def put(self, made):
        put_all(self.client(), "router", [(event.line.encode(), str(number)) for number, event in enumerate(made)])

    def says(self, words, seconds=30):
        eventually(lambda: words in self.log.read_text(), f"{words!r} in the log", seconds)


def at(receiver, scheme="fluent", host="127.0.0.1"):
    return {"destination": f"{scheme}://{host}:{receiver.port}"}


def received(receiver, form):
    return {(tag, seconds, nanoseconds, json.dumps(record, sort_keys=True))
            for tag, seconds, nanoseconds, record in receiver.events()}


def expected(made, form):
    return {(event.tag, event.seconds, event.nanoseconds, json.dumps(event.record(form), sort_keys=True))
            for event in made}


def all_arrive(receiver, made, form="message", seconds=60):
    wanted = expected(made, form)
    eventually(lambda: len(received(receiver, form)) >= len(wanted), "all events", seconds)
    assert received(receiver, form) == wanted


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secured(tmp_path_factory, authority):
    """A receiver that wants all there is: TLS, a certificate of the client, the key, a user."""
    identity = authority.identity("receiver.test")
    yield from running(lambda: started(
        FluentReceiver, tmp_path_factory, KEY, USER, PASSWORD, identity, authority.file))


def running(make):
    receiver = make()
    yield receiver
    receiver.stop()


def securely(authority, **settings):
    client = authority.identity("client.test")
    return {
        "shared_key": KEY, "username": USER, "password": PASSWORD, "tls_ca_file": str(authority.file),
        "tls_server_name": "receiver.test", "tls_client_certificate_file": str(client.certificate),
        "tls_client_key_file": str(client.key), **settings,
    }


@pytest.mark.parametrize(("form", "compression"), FORMS)
def test_every_event_arrives_over_tls_with_key_user_and_client_certificate(tmp_path, secured, authority, form, compression):
    made = events(3000)
    settings = securely(authority, record_format=form, compression=compression, chunk_bytes=20_000)
    with Pipeline(tmp_path, events=module(at(secured, "fluents"), **settings)) as server:
        server.put(made)
        all_arrive(secured, made, form)
        assert secured.count() == len(made), "nothing broke, so nothing came twice"
        assert "asked for receiver.test" in secured.log.read_text()
        shown = server.log.read_text()
        assert KEY not in shown and PASSWORD not in shown
        assert server.stop() == 0
    assert failed_records(tmp_path / "failed") == []


@pytest.mark.parametrize(("form", "compression"), FORMS)
def test_the_collector_of_opentelemetry_understands_every_form(tmp_path, otel_collector, form, compression):
    # It knows no null and no empty map; of the rest it makes attributes with their types.
    made = events(500)
    with Pipeline(tmp_path, events=module(at(otel_collector), record_format=form, compression=compression)) as server:
        server.put(made)
        eventually(lambda: otel_collector.count() >= len(made), "all events")
        found = {(tag, seconds, nanoseconds, record["message"] if form == "message" else record["log_id"])
                 for tag, seconds, nanoseconds, record in otel_collector.events()}
        assert found == {
            (event.tag, event.seconds, event.nanoseconds, event.line if form == "message" else json.loads(event.line)["log_id"])
            for event in made
        }
        if form == "fields":
            record = min((event[3] for event in otel_collector.events()), key=lambda record: record["number"])
            assert (record["number"], record["half"], record["yes"]) == (0, 0.25, True)
            assert record["nested"]["list"] == [1, "two", {"three": 3}]


MISTAKES = {
    "another key": ({"shared_key": "wrong"}, "shared key mismatch"),
    "another password": ({"password": "wrong"}, "username/password mismatch"),
    "no authority": ({"tls_ca_file": None}, "`tls_ca_file`"),
    "another name": ({"tls_server_name": "other.test"}, "`tls_server_name`"),
    "no client certificate": (
        {"tls_client_certificate_file": None, "tls_client_key_file": None}, "ertificateRequired"),
    "its own name": ({"self_hostname": "receiver.test"}, "Same hostname"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_who_is_not_trusted_is_told_why_and_all_arrives_once_it_is_put_right(tmp_path, secured, authority, mistake):
    change, words = MISTAKES[mistake]
    right = module(at(secured, "fluents"), **securely(authority))
    wrong = {key: value for key, value in {**right, **change}.items() if value is not None}
    made = events(50)
    with Pipeline(tmp_path, events=wrong) as server:
        server.put(made)
        server.says(words)
        assert secured.count() == 0
        assert server.stop() == 0
        server.config["modules"]["events"] = {**right, "failed_store": wrong["failed_store"]}
        server.start()
        all_arrive(secured, made)
    assert failed_records(tmp_path / "failed") == []


@pytest.mark.parametrize(("scheme", "secure"), [("fluents", False), ("fluent", True)])
def test_with_and_without_tls_do_not_understand_each_other_and_say_so(
        tmp_path, tmp_path_factory, authority, scheme, secure):
    identity = authority.identity("receiver.test") if secure else None
    settings = {"tls_ca_file": str(authority.file)} if scheme == "fluents" else {}
    # With a key the receiver speaks first; without TLS that is what shows that there is none.
    key = None if secure else KEY
    with started(FluentReceiver, tmp_path_factory, key, None, None, identity) as receiver:
        with Pipeline(tmp_path, events=module(at(receiver, scheme), **settings)) as server:
            server.put(events(1))
            if secure:
                eventually(lambda: re.search("fluents://|connection broke", server.log.read_text()), "a reason")
            else:
                server.says("does not speak TLS")
            assert receiver.count() == 0


FAULTS = {
    "a reset in mid-body": [Fault(reset_after=40_000)] * 2,
    "lost acknowledgements": [Fault(lose_answer=True)] * 2,
    "a slow reader": [Fault(bytes_per_second=300_000)] * 9,
    "all of it in turn": [Fault(reset_after=1), Fault(lose_answer=True), Fault(reset_after=100_000)] * 2,
}


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_event_arrives_over_a_wire_that_breaks(tmp_path, fluent, fault, compression):
    made = events(600, pad=1000)
    with FaultyWire(fluent.port, FAULTS[fault]) as wire:
        settings = {"compression": compression, "chunk_bytes": 100_000}
        with Pipeline(tmp_path, shards=1, events=module(at(wire), **settings)) as server:
            server.put(made)
            all_arrive(fluent, made)
            assert server.stop() == 0
        assert fault == "a slow reader" or wire.connections > 2
    assert failed_records(tmp_path / "failed") == []


def test_what_one_of_two_servers_cannot_take_the_other_gets_until_it_is_back(tmp_path, tmp_path_factory):
    one, other = (available(lambda: FluentReceiver(tmp_path_factory.mktemp("fluent"))) for _ in "ab")
    servers = {"servers": [{"address": f"127.0.0.1:{one.port}"},
                           {"address": f"fluent://127.0.0.1:{other.port}", "weight": 30}]}
    settings = {"recover_seconds": 1, "batch_size": 10}
    made = events(900)
    with one, other, Pipeline(tmp_path, events=module(servers, **settings)) as server:
        server.put(made[:300])
        both = lambda: received(one, "message") | received(other, "message")  # noqa: E731
        eventually(lambda: both() >= expected(made[:300], "message"), "the first events")
        assert one.count() > other.count() > 0, "both work, by their weights"
        one.kill()
        server.put(made[300:600])
        eventually(lambda: both() >= expected(made[:600], "message"), "the events for which there is one")
        server.says("left out for 1 s")
        before = one.count()
        one.start()

        def again():
            server.put(made[600:])
            return one.count() > before

        eventually(again, "the first is used again", every=1)
        server.says("takes messages again")
        eventually(lambda: both() == expected(made, "message"), "all events")
    assert failed_records(tmp_path / "failed") == []


def test_a_standby_is_used_only_while_the_first_is_down(tmp_path, tmp_path_factory):
    one, other = (available(lambda: FluentReceiver(tmp_path_factory.mktemp("fluent"))) for _ in "ab")
    servers = {"servers": [{"address": f"127.0.0.1:{one.port}"},
                           {"address": f"127.0.0.1:{other.port}", "standby": True}]}
    made = events(400)
    with other, Pipeline(tmp_path, events=module(servers, recover_seconds=1, batch_size=10)) as server:
        server.put(made[:200])
        all_arrive(other, made[:200])
        with one:
            time.sleep(2)
            server.put(made[200:])
            all_arrive(one, made[200:])
            assert other.count() == 200


def test_a_receiver_that_is_stuck_slows_its_own_module_only(tmp_path, fluent):
    made = events(2000, pad=2000)
    with FaultyWire(fluent.port, always=Fault(stuck=True)) as wire:
        modules = {"stuck": module(at(wire), ack_seconds=600), "flowing": module(at(fluent))}
        with Pipeline(tmp_path, **modules) as server:
            server.put(made)
            all_arrive(fluent, made)
            assert wire.connections > 0
            metrics = server.metrics()
            assert not re.search(r'baikonur_delivered_records_total\{module="stuck".*\} [1-9]', metrics)
            assert server.peak_memory_mib() < 500
            # A stop would wait for what is on its way.
            server.kill()


def test_a_receiver_that_moves_is_found_again(tmp_path, tmp_path_factory):
    # The wire stands for a name: what is behind it changes between two connections.
    one, other = (started(FluentReceiver, tmp_path_factory) for _ in "ab")
    made = events(600)
    with one, other, FaultyWire(one.port) as wire:
        with Pipeline(tmp_path, shards=1, events=module(at(wire), keep_alive_seconds=1)) as server:
            server.put(made[:300])
            all_arrive(one, made[:300])
            wire.target = other.port
            time.sleep(1.5)
            server.put(made[300:])
            all_arrive(other, made[300:])
            assert one.count() == 300, "an old connection is not used for ever"


def test_tags_are_made_of_a_template(tmp_path, fluent):
    made = events(30)
    tag = "{stream}.{log_type}.{field:number}.{field:nested.list}.{field:/nested/list/1}"
    with Pipeline(tmp_path, shards=1, events=module(at(fluent), tag=tag)) as server:
        server.put(made)
        eventually(lambda: fluent.count() >= len(made), "all events")
        found = {event[0] for event in fluent.events()}
        types = [event.tag.removesuffix(".tag") for event in made]
        assert found == {f"router.{types[n]}.{n}.%missing.two" for n in range(30)}
