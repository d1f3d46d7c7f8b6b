"""The servers that are measured, as processes: baikonur, and the peers that speak the same API.

Peers are parts (`tests/parts/install.sh kinesalite kinesis-mock ferrokinesis`, the last is optional), each started as its own
documentation says, with creation delays and shard limits out of the way and its log turned down.
"""

import ctypes
import fcntl
import json
import os
import re
import resource
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "tests"))

from parts.process import PARTS, Server  # noqa: E402

# Longest that a load run may take beyond its own time: it gives up by itself long before.
LOAD_PATIENCE_SECONDS = 60
# Node.js stops at about 4 GB of its own accord.
NODE = {"NODE_OPTIONS": "--max-old-space-size=8192"}
SHARD_LIMIT = 100_000


class Cannot(Exception):
    """What a server could not do, in one line."""


class KinesisServer(Server):
    """A server that load can be put on."""

    ready_seconds = 60
    # Where baikonur and baikonur-load are; run.py may set another one.
    binaries = REPO / "target" / "release"
    # A path below .parts that the server needs.
    part = ()
    listens_everywhere = False
    # Whether reads are worth a measurement of their own.
    reads = True

    @classmethod
    def installed(cls):
        return not cls.part or PARTS.joinpath(*cls.part).exists()

    def load(self, mode, **options):
        """Runs baikonur-load and gives its figures."""
        return load(mode, endpoint=f"127.0.0.1:{self.port}", **options)

    def peak_memory_mib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024

    def cpu_seconds(self):
        """User and system time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = os.sysconf("SC_CLK_TCK")
        return int(fields[11]) / ticks, int(fields[12]) / ticks

    def __exit__(self, *_):
        self.stop(5)


class Baikonur(KinesisServer):
    """`baikonur up` without streams and modules."""

    name = "baikonur"
    durability = "fsync"
    ready_seconds = 300

    def command(self):
        config = self.folder / "bench.toml"
        config.write_text(f'[server]\ndurability = "{self.durability}"\n[streams.unused]\nshards = 1\n')
        return [self.binaries / "baikonur", "up", config, "--listen", f"127.0.0.1:{self.port}",
                "--data", self.folder / "data"], {}

    def is_ready(self):
        urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1).close()
        return True


class BaikonurOsBuffer(Baikonur):
    name = "baikonur os-buffer"
    durability = "os-buffer"


class Ferrokinesis(KinesisServer):
    name = "ferrokinesis"
    part = ("bin", "ferrokinesis")
    listens_everywhere = True

    def command(self):
        return [PARTS.joinpath(*self.part), "--port", self.port, "--create-stream-ms", 0, "--shard-limit", SHARD_LIMIT,
                "--max-request-body-mb", 16, "--log-level", "off", "--enforce-limits", "false", *self.more()], {}

    def more(self):
        return []


class FerrokinesisDurable(Ferrokinesis):
    """Every call into a log with fsync. Reads come from memory, as in the other mode."""

    name = "ferrokinesis durable"
    reads = False

    def more(self):
        return ["--state-dir", self.folder / "data"]


class Kinesalite(KinesisServer):
    name = "kinesalite"
    part = ("kinesalite", "node_modules", "kinesalite", "cli.js")
    listens_everywhere = True

    def command(self):
        return ["node", PARTS.joinpath(*self.part), "--port", self.port, "--createStreamMs", 0,
                "--shardLimit", SHARD_LIMIT], NODE


class KinesisMock(KinesisServer):
    name = "kinesis-mock"
    part = ("kinesis-mock", "node_modules", "kinesis-local", "main.js")
    listens_everywhere = True

    def command(self):
        main = PARTS.joinpath(*self.part)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            tls_port = probe.getsockname()[1]
        return ["node", main], {
            **NODE, "KINESIS_MOCK_PLAIN_PORT": str(self.port), "KINESIS_MOCK_TLS_PORT": str(tls_port),
            "KINESIS_MOCK_CERT_PATH": str(main.parent / "server.json"), "CREATE_STREAM_DURATION": "1ms",
            "REGISTER_STREAM_CONSUMER_DURATION": "1ms", "SHARD_LIMIT": str(SHARD_LIMIT), "LOG_LEVEL": "ERROR",
        }


PEERS = (Ferrokinesis, FerrokinesisDurable, Kinesalite, KinesisMock)


def load(mode, **options):
    """Runs baikonur-load; an option `record_bytes=100` is the flag `--record-bytes 100`."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = [KinesisServer.binaries / "baikonur-load", mode, *words]
    patience = float(options.get("seconds", 10)) + LOAD_PATIENCE_SECONDS
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=patience)
    except subprocess.TimeoutExpired:
        raise Cannot(f"{mode}: no end after {patience:.0f} s") from None
    if done.returncode != 0:
        raise Cannot(" ".join(done.stderr.split()).removeprefix("Error: ").strip('"')[:300])
    return json.loads(done.stdout)


class Folders:
    """Data folders of the servers, beside the repository's own files: a temporary file system may live in memory."""

    def __init__(self):
        self.made = []

    def new(self):
        (REPO / "target").mkdir(exist_ok=True)
        self.made.append(tempfile.mkdtemp(prefix="baikonur-bench-", dir=REPO / "target"))
        return Path(self.made[-1])

    def remove(self):
        # Not while something is measured: where deleted blocks are discarded at once, a deletion slows the syncs
        # after it. The sync waits for that.
        for folder in self.made:
            shutil.rmtree(folder, ignore_errors=True)
        self.made.clear()
        os.sync()


def isolate():
    """Puts this process, and all that it starts, into a network that has loopback only; says whether it could.

    Two of the peers listen on all addresses and cannot be told otherwise.
    """
    new_user, new_network = 0x10000000, 0x40000000
    libc, user, group = ctypes.CDLL(None, use_errno=True), os.getuid(), os.getgid()
    if libc.unshare(new_network if user == 0 else new_user | new_network) != 0:
        return False
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    set_flags, up = 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sH22x", b"lo", up))
    return True


def allow_many_connections():
    """As many open files as the system lets this user have: a subscription to each of 1,000 shards is 1,000 of them."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
