"""A gateway before an S3 server that does to requests what networks and services do to them."""

import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ERROR = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{0}</Code><Message>{1}</Message></Error>"
FAULTS = ("reset", "lost", "500 applied", "500", "503", "slow", "none")
WEIGHTS = (2, 2, 2, 1, 2, 1, 4)


class FaultyGateway:
    """Passes requests on to a port of this machine; what it does to writes is chosen by a seed.

    `reset`: the connection is reset in the middle of the body. `lost`: the request is carried out and the connection
    reset before the answer. `500 applied`: it is carried out and answered with 500. `500`, `503`: it is not carried out.
    `slow`: the body is read a little at a time. Before that, all requests can be refused as in an outage.
    """

    def __init__(self, port, seed):
        self.target = port
        self.done = Counter()
        self.outage = None
        self.faulty = True
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_any(self):
                gateway.handle(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def handle(self, request):
        fault = self._fault(request.command)
        try:
            self._carry_out(request, fault)
        except OSError:
            request.close_connection = True

    def _fault(self, command):
        with self._lock:
            fault = "none"
            if self.outage:
                fault = self.outage
            elif self.faulty and command in ("PUT", "POST"):
                fault = self._random.choices(FAULTS, WEIGHTS)[0]
            self.done[fault] += 1
            return fault

    def _carry_out(self, request, fault):
        length = int(request.headers.get("Content-Length", 0))
        if fault == "reset":
            request.rfile.read(length // 2)
            return self._reset(request)
        body = self._body(request, length, fault == "slow")
        if fault in ("503", "throttled"):
            return self._answer(request, 503, ERROR.format("SlowDown", "Please reduce your request rate."))
        if fault == "500":
            return self._answer(request, 500, ERROR.format("InternalError", "We encountered an internal error."))
        if fault == "expired":
            return self._answer(request, 403, ERROR.format("ExpiredToken", "The provided token has expired."))
        # The signature covers the host's name as the client wrote it.
        upstream = http.client.HTTPConnection("127.0.0.1", self.target, timeout=60)
        upstream.request(request.command, request.path, body=body, headers=dict(request.headers.items()))
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        if fault == "lost":
            return self._reset(request)
        if fault == "500 applied":
            return self._answer(request, 500, ERROR.format("InternalError", "We encountered an internal error."))
        kept = [(k, v) for k, v in answer.getheaders() if k.lower() not in ("transfer-encoding", "connection")]
        self._send(request, answer.status, kept, content)

    @staticmethod
    def _body(request, length, is_slow):
        if not is_slow:
            return request.rfile.read(length)
        body = b""
        pieces = 20
        while len(body) < length:
            body += request.rfile.read(min(length // pieces + 1, length - len(body)))
            time.sleep(0.1)
        return body

    def _answer(self, request, status, text):
        self._send(request, status, [("Content-Type", "application/xml")], text.encode())

    @staticmethod
    def _send(request, status, headers, content):
        request.send_response_only(status)
        for key, value in headers:
            if key.lower() != "content-length":
                request.send_header(key, value)
        length = dict((k.lower(), v) for k, v in headers).get("content-length")
        is_head = request.command == "HEAD"
        request.send_header("Content-Length", length if is_head and length else str(len(content)))
        request.end_headers()
        if not is_head:
            request.wfile.write(content)

    @staticmethod
    def _reset(request):
        request.close_connection = True
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
