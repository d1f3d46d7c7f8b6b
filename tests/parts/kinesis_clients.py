"""Programs on the AWS SDKs for JavaScript, Java and Rust that go through one scenario, and the Kinesis Client Library.

What they do is said in clients/README.md. They tell what happened as JSON lines.
"""

import json
import os
import subprocess
import threading
from pathlib import Path

from .process import part

SOURCES = Path(__file__).parent / "clients"


def java(part_name, *words):
    """A Java program of a part; it starts quicker with the first compiler alone."""
    installed = part(part_name, "classpath.txt").parent
    classpath = f"{installed / 'target' / 'classes'}:{(installed / 'classpath.txt').read_text().strip()}"
    return [
        f"{(installed / 'java_home.txt').read_text().strip()}/bin/java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
        "-Xmx512m", "-Dorg.slf4j.simpleLogger.showDateTime=true", "-cp", classpath, *words,
    ]


def javascript(protocol):
    """`http2` is what the SDK takes by itself."""
    return lambda endpoint, stream: [
        "node", SOURCES / "javascript" / "scenario.mjs", part("javascript", "node_modules").parent, endpoint, stream,
        protocol,
    ]


def java_sdk(protocol):
    """`http2` is the asynchronous client, `http1` the blocking one."""
    return lambda endpoint, stream: java("java", "Scenario", endpoint, stream, protocol)


def rust(endpoint, stream):
    return [part("bin", "kinesis-client-rust"), endpoint, stream]


def trusting(certificate, folder):
    """The environment in which Node.js and Java trust a certificate authority, a PEM file."""
    store = Path(folder) / "trusted.p12"
    keytool = Path(part("java", "java_home.txt").read_text().strip()) / "bin" / "keytool"
    subprocess.run(
        [keytool, "-importcert", "-noprompt", "-alias", "authority", "-file", certificate, "-keystore", store,
         "-storepass", "trusted"], check=True, capture_output=True,
    )
    options = f"-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword=trusted"
    return {"NODE_EXTRA_CA_CERTS": str(certificate), "JAVA_TOOL_OPTIONS": options}


class Told:
    """A program that tells what it does as JSON lines, which are read while it runs."""

    def __init__(self, command, folder, name, environment=None):
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.name, self.log = name, folder / f"{name}.stderr"
        self.lines = []
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                env={**os.environ, **(environment or {})},
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def of(self, *steps):
        """What was told of these steps so far, in its order."""
        return [line for line in list(self.lines) if line["step"] in steps]

    def one(self, step):
        [line] = self.of(step)
        return line

    def check(self):
        """Fails when the program has ended."""
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.tail()}"

    def finish(self, seconds):
        """Ends its input, and waits for its end; it must be a success."""
        self.process.stdin.close()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            raise AssertionError(f"{self.name} runs on after {seconds} s:\n{self.tail()}") from None
        self._reader.join(10)
        assert self.process.returncode == 0, f"{self.name} ended with {self.process.returncode}:\n{self.tail()}"
        return self

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def show(self):
        """What happened, without every record: pytest prints it beside a failure."""
        for line in list(self.lines):
            if line["step"] not in ("put", "pushed", "read", "record"):
                print(self.name, json.dumps(line)[:300])

    def tail(self, lines=40):
        """The last of what it told, and of its own complaints."""
        said = "\n".join(json.dumps(line)[:300] for line in list(self.lines)[-10:])
        return said + "\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
