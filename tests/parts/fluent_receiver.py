"""Two real Fluent Forward receivers: that of the Node.js library @fluent-org/logger, and the OpenTelemetry Collector's.

Both acknowledge. Both give what they received as a list of (tag, seconds, nanoseconds, record).
"""

import json
from pathlib import Path

from .process import Server, part


class _Receiver(Server):
    """Reads the file of events that a receiver appends to, going on where it stopped."""

    def __init__(self, folder):
        super().__init__(folder)
        self._events, self._read_to = [], 0

    def events(self):
        if self.file.exists():
            with self.file.open("rb") as lines:
                lines.seek(self._read_to)
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    self._read_to += len(line)
                    self._events += self.parse(line)
        return self._events

    def count(self):
        return len(self.events())


class FluentReceiver(_Receiver):
    """`FluentServer` of @fluent-org/logger.

    With `identity` (see `certificates`) it speaks TLS; with `client_authority`, a file, it wants a certificate by that.
    """

    name = "fluent"

    def __init__(self, folder, shared_key=None, user=None, password=None, identity=None, client_authority=None):
        super().__init__(folder)
        self.file = self.folder / "events.ndjson"
        options = {"sharedKey": shared_key, "user": user, "password": password, "clientAuthority": client_authority}
        if identity:
            options |= {"certificate": identity.certificate, "key": identity.key}
        self.options = {name: str(value) for name, value in options.items() if value}

    def command(self):
        script = Path(__file__).parent / "fluent" / "receiver.mjs"
        installed = part("fluent", "node_modules").parent
        return ["node", script, installed, self.port, self.file, json.dumps(self.options)], {}

    @staticmethod
    def parse(line):
        tag, time, record = json.loads(line)
        yield tag, time[0], time[1], record


class OtelCollector(_Receiver):
    """The OpenTelemetry Collector's `fluentforward` receiver."""

    name = "otelcol"

    def __init__(self, folder):
        super().__init__(folder)
        self.file = self.folder / "logs.ndjson"

    def command(self):
        config = self.folder / "otelcol.yaml"
        config.write_text(f"""
receivers:
  fluent_forward:
    endpoint: 127.0.0.1:{self.port}
exporters:
  file:
    path: {self.file}
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    logs:
      receivers: [fluent_forward]
      exporters: [file]
""")
        return [part("bin", "otelcol"), "--config", config], {}

    @staticmethod
    def parse(line):
        """The collector makes `message` the body and the tag an attribute."""
        logs = json.loads(line)
        for resource in logs["resourceLogs"]:
            for scope in resource["scopeLogs"]:
                for entry in scope["logRecords"]:
                    attributes = {a["key"]: a["value"] for a in entry.get("attributes", [])}
                    tag = attributes.pop("fluent.tag")["stringValue"]
                    seconds, nanoseconds = divmod(int(entry.get("timeUnixNano", "0")), 1_000_000_000)
                    record = {name: _plain(value) for name, value in attributes.items()}
                    if "body" in entry:
                        record["message"] = _plain(entry["body"])
                    yield tag, seconds, nanoseconds, record


def _plain(value):
    """A value of OTLP's JSON without its type."""
    ((kind, inner),) = value.items() or (("nullValue", None),)
    if kind == "arrayValue":
        return [_plain(item) for item in inner.get("values", [])]
    if kind == "kvlistValue":
        return {member["key"]: _plain(member["value"]) for member in inner.get("values", [])}
    return int(inner) if kind == "intValue" else inner
