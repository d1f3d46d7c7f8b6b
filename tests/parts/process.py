"""A server process: started on a free loopback port, waited for, stopped by its own process id."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PARTS = REPO / ".parts"


class PartMissing(Exception):
    """A part that `tests/parts/install.sh` has not installed."""


def part(*path):
    """The path of something that a part consists of."""
    found = PARTS.joinpath(*path)
    if not found.exists():
        raise PartMissing(f"{found.relative_to(REPO)} is missing; run tests/parts/install.sh")
    return found


def free_port():
    """A port of loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _die_with_parent():
    """Linux: the server ends when the test process does, even by kill -9."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Server:
    """Base of the parts: subclasses say the command and when it is ready."""

    name = "server"
    ready_seconds = 60

    def __init__(self, folder):
        self.folder = Path(folder)
        self.log = self.folder / f"{self.name}.log"
        self.port = free_port()
        self.process = None

    def command(self):
        """The command line, and what its environment has besides this process's own."""
        raise NotImplementedError

    def is_ready(self):
        """Whether it can be used now; an OSError means not yet."""
        socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        return True

    def start(self):
        """Starts it and waits until it can be used."""
        self.spawn()
        return self.wait_until_ready()

    def spawn(self):
        """Starts the process, and does not wait."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command, environment = self.command()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                preexec_fn=_die_with_parent,
            )

    def wait_until_ready(self):
        deadline = time.monotonic() + self.ready_seconds
        while True:
            try:
                if self.is_ready():
                    return self
            except OSError:
                pass
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"{self.name} not ready in {self.ready_seconds} s:\n{self.log_tail()}")
            time.sleep(0.02)

    def stop(self, seconds=30):
        """SIGTERM, and SIGKILL when that does not help; returns the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    def kill(self):
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def log_tail(self, lines=40):
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, *_):
        self.stop()
