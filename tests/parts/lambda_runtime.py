"""A small double of the AWS Lambda Runtime API, and a function that it runs.

It is ours, and here for what a real emulator does not produce on demand: deadlines of any length, a function that is
frozen between its invocations as Lambda freezes it, one that does not start, events that are handed over again.
`cargo lambda` (crates.io) serves the same API and is not ours; functions can be run under it by hand.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import queue
import signal
import threading
import time
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .process import Server

VERSION = "/2018-06-01/runtime"
ACCOUNT, REGION = "123456789012", "us-east-1"
TRACE_ID = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
LARGEST_ANSWER = 6 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """What a function answered to one invocation."""

    request_id: str
    body: dict | None
    error: dict | None
    milliseconds_left: float


class RuntimeApi:
    """Serves one function: `invoke` hands it an event, and waits for its answer until the deadline."""

    def __init__(self, function_arn):
        self.function_arn = function_arn
        self.init_errors = []
        self.waiting = threading.Event()
        self._invocations = queue.Queue()
        self._answers = queue.Queue()
        self._deadline = 0.0
        self._closed = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def invoke(self, event, timeout_seconds):
        """Lambda's time-out ends a function; so an answer that comes later fails the test."""
        request_id = str(uuid.uuid4())
        self._deadline = time.time() + timeout_seconds
        self._invocations.put((request_id, int(self._deadline * 1000), json.dumps(event).encode()))
        try:
            answer = self._answers.get(timeout=timeout_seconds)
        except queue.Empty:
            raise AssertionError(f"no answer in {timeout_seconds} s: Lambda would have ended the function") from None
        assert answer.request_id == request_id
        return answer

    def close(self):
        self._closed = True
        self._invocations.put(None)
        self._server.shutdown()
        self._server.server_close()

    def _handler(api):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                assert self.path == f"{VERSION}/invocation/next", self.path
                api.waiting.set()
                invocation = api._invocations.get()
                if invocation is None or api._closed:
                    self.close_connection = True
                    return
                request_id, deadline, event = invocation
                self.answer(200, event, {
                    "Lambda-Runtime-Aws-Request-Id": request_id,
                    "Lambda-Runtime-Deadline-Ms": str(deadline),
                    "Lambda-Runtime-Invoked-Function-Arn": api.function_arn,
                    "Lambda-Runtime-Trace-Id": TRACE_ID,
                })

            def do_POST(self):
                body = self.body()
                milliseconds_left = (api._deadline - time.time()) * 1000
                assert len(body) <= LARGEST_ANSWER
                document = json.loads(body) if body else None
                words = self.path.removeprefix(f"{VERSION}/").split("/")
                if words == ["init", "error"]:
                    api.init_errors.append(document)
                elif words[0] == "invocation" and words[2:] == ["response"]:
                    api._answers.put(Answer(words[1], document, None, milliseconds_left))
                elif words[0] == "invocation" and words[2:] == ["error"]:
                    assert self.headers["Lambda-Runtime-Function-Error-Type"]
                    api._answers.put(Answer(words[1], None, document, milliseconds_left))
                else:
                    self.answer(404, b"{}", {})
                    return
                self.answer(202, b'{"status": "OK"}', {})

            def body(self):
                """Whole, or in chunks as a client sends what it does not know the length of."""
                if self.headers.get("Transfer-Encoding", "") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                parts = []
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)

            def answer(self, status, body, headers):
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Handler


class LambdaFunction(Server):
    """`bootstrap`, in the environment that Lambda gives it and no other; what it writes is its log."""

    ready_seconds = 30

    def __init__(self, folder, bootstrap, name, handler, environment=None, memory_mb=256, log_format="JSON"):
        self.name = name
        super().__init__(folder)
        self.bootstrap = bootstrap
        self.arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
        self.api = RuntimeApi(self.arn)
        self.environment = {
            "_HANDLER": handler,
            "AWS_LAMBDA_RUNTIME_API": self.api.address,
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/31/[$LATEST]0123456789abcdef0123456789abcdef",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_FORMAT": log_format,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "LAMBDA_TASK_ROOT": "/var/task",
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "TZ": ":UTC",
            "LANG": "en_US.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            **(environment or {}),
        }

    def command(self):
        # Nothing of the test's own environment: a variable BAIKONUR_… would be taken for a setting.
        variables = [f"{name}={value}" for name, value in self.environment.items() if value is not None]
        return ["/usr/bin/env", "-i", *variables, self.bootstrap], {}

    def is_ready(self):
        """It asks for its first event."""
        return self.api.waiting.is_set()

    def invoke(self, event, timeout_seconds=60):
        """Hands it an event; it is frozen from its answer to its next event, as Lambda freezes it."""
        self.process.send_signal(signal.SIGCONT)
        self.api.waiting.clear()
        try:
            return self.api.invoke(event, timeout_seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.log_tail()}") from late
        finally:
            # It asks for the next event before it is frozen; a process that ended does not.
            self.api.waiting.wait(5)
            self.process.send_signal(signal.SIGSTOP)

    def delivers(self, event, **options):
        """Hands it an event that it is to deliver whole."""
        answer = self.invoke(event, **options)
        assert answer.body == {"batchItemFailures": []}, f"{answer}\n{self.log_tail()}"
        return answer

    def fails_to_start(self, seconds=30):
        """Starts it; gives its exit status and its log when it has ended, as it must."""
        self.spawn()
        try:
            self.process.wait(seconds)
        finally:
            self.stop()
        return self.process.returncode, self.log.read_text()

    def log_lines(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def resident_mib(self):
        """The largest resident set so far (Linux)."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmHWM in /proc")

    def stop(self, seconds=30):
        self.api.close()
        if self.process and self.process.poll() is None:
            # Lambda asks a function without extensions for no farewell.
            self.kill()
        return self.process and self.process.returncode
