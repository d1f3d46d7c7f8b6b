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
    """`FluentServer` of @fluent-org/logger."""

    name = "fluent"

    def __init__(self, folder, shared_key=None, user=None, password=None):
        super().__init__(folder)
        self.file = self.folder / "events.ndjson"
        self.security = [word for word in (shared_key, user, password) if word]

    def command(self):
        script = Path(__file__).parent / "fluent" / "receiver.mjs"
        installed = part("fluent", "node_modules").parent
        return ["node", script, installed, self.port, self.file, *self.security], {}

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
                    record = {"message": entry["body"]["stringValue"], **attributes}
                    yield tag, seconds, nanoseconds, record
