"""What was measured, as tables in Markdown, as targets against measured, and as JSON."""

import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

OURS = "baikonur"
NOTHING = "–"


def shown(value):
    """A figure with as many digits as it deserves."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


class Report:
    """All measurements of a run: what was measured, at which point, of which server."""

    def __init__(self, minutes):
        self.started = time.monotonic()
        self.deadline = self.started + minutes * 60
        self.measurements = []
        self.targets = []

    def in_time(self):
        return time.monotonic() < self.deadline

    def progress(self, text):
        print(f"{time.monotonic() - self.started:5.0f} s  {text}", file=sys.stderr, flush=True)

    def add(self, what, at, server, **figures):
        self.measurements.append({"what": what, "at": at, "server": server, **figures})

    def cannot(self, what, at, server, why):
        self.progress(f"{server} cannot: {what} at {at}: {why}")
        self.add(what, at, server, cannot=why)

    def figure(self, what, at, server, name):
        for one in self.measurements:
            if (one["what"], one["at"], one["server"]) == (what, at, server):
                return one.get(name)
        return None

    def points(self, what):
        return list(dict.fromkeys(one["at"] for one in self.measurements if one["what"] == what))

    def servers(self, what):
        return list(dict.fromkeys(one["server"] for one in self.measurements if one["what"] == what))

    def table(self, title, heads, rows):
        print(f"\n### {title}\n\n| {' | '.join(map(str, heads))} |\n|{' --- |' * len(heads)}")
        for row in rows:
            print(f"| {' | '.join(shown(cell) for cell in row)} |")
        sys.stdout.flush()

    def side_by_side(self, title, what, heading, name, ratio=True):
        """One row for each point, one column for each server; behind a peer's figure how often it fits into ours."""
        servers = self.servers(what)

        def cell(at, server):
            figure, ours = self.figure(what, at, server, name), self.figure(what, at, OURS, name)
            text = shown(figure)
            if ratio and figure and ours is not None and server != OURS:
                text += f" ({shown(ours / figure)}×)"
            return text

        if any(name in one for one in self.measurements if one["what"] == what):
            rows = [(at, *(cell(at, server) for server in servers)) for at in self.points(what)]
            self.table(title, (heading, *servers), rows)

    def what_they_could_not(self):
        """Every reason once, with the points that it holds for."""
        reasons = {}
        for one in self.measurements:
            for reason in (one.get("cannot"), one.get("first_failure")):
                if reason:
                    # Figures in a message differ from call to call.
                    key = (one["server"], re.sub(r"\d{6,}", "…", reason)[:160].replace("|", "/"))
                    reasons.setdefault(key, []).append(f"{one['what']} at {one['at']}")
        rows = [(server, why, ", ".join(dict.fromkeys(points))) for (server, why), points in reasons.items()]
        if rows:
            self.table("What a server refused or could not do", ("server", "in its words", "where"), rows)

    def target(self, what, target, measured, met):
        """`met` is True, False, or None when it was not measured."""
        self.targets.append({"what": what, "target": target, "measured": measured, "met": met})

    def target_over_peers(self, whats, name, sentence, higher_is_better=True):
        """The worst ratio of ours to the best peer over all points, as one target."""
        worst = None
        for what in whats:
            for at in self.points(what):
                ours = self.figure(what, at, OURS, name)
                others = [(self.figure(what, at, server, name), server) for server in self.servers(what)
                          if not server.startswith(OURS)]
                others = [(figure, server) for figure, server in others if figure]
                if not others or not ours:
                    continue
                best, server = max(others) if higher_is_better else min(others)
                ratio = ours / best if higher_is_better else best / ours
                if worst is None or ratio < worst[0]:
                    worst = (ratio, what, at, server)
        if worst is None:
            self.target(sentence, "ahead at every point", "not measured", None)
        else:
            ratio, what, at, server = worst
            self.target(sentence, "ahead at every point",
                        f"least {shown(ratio)}× ({what} at {at}, of {server})", ratio > 1)

    def print_targets(self):
        words = {True: "yes", False: "**no**", None: NOTHING}
        self.table("Target against measured", ("what", "target", "measured", "met"),
                   [(one["what"], one["target"], one["measured"], words[one["met"]]) for one in self.targets])

    def write_json(self, path, arguments):
        Path(path).write_text(json.dumps({
            "machine": machine(), "arguments": arguments, "minutes": round((time.monotonic() - self.started) / 60, 1),
            "measurements": self.measurements, "targets": self.targets,
        }, indent=1, ensure_ascii=False) + "\n")


def machine():
    """What figures depend on, without names of this machine."""
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    here = Path(__file__).resolve().parent
    file_system = subprocess.run(["stat", "-f", "-c", "%T", here], capture_output=True, text=True).stdout.strip()
    return {"cpu": cpu[1] if cpu else platform.machine(), "cpus": os.cpu_count(),
            "memory_gib": int(memory[1]) // 1024**2 if memory else None, "kernel": platform.release(),
            "file_system": file_system}
