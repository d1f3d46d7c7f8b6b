"""A cluster of Elasticsearch or OpenSearch that a test can break at the wire: it stores bulk requests, and fails as told.

Beside what it stores it keeps what was asked, so that a test can verify signatures with a signer that is not ours.
"""

import gzip
import json
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

ROOT = {"name": "double", "version": {"number": "3.3.0", "distribution": "opensearch"}}


class SearchCluster:
    """`faults` are callables that get the handler and the bulk's items, first come first served; None is no fault."""

    def __init__(self, port=0, context=None, root=(200, ROOT)):
        self.documents = {}
        self.installed = {}
        self.writes = Counter()
        self.requests = []
        self.faults = []
        self.verify = None
        self.root = root
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.endpoint = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def store(self, items):
        """Stores and gives the answer's items: `create` of what is there is a conflict, `index` of it an update."""
        answers = []
        with self._lock:
            for action, target, identifier, source in items:
                key = (target, identifier)
                if action == "create" and key in self.documents:
                    error = {"type": "version_conflict_engine_exception", "reason": "document already exists"}
                    answers.append({action: {"status": 409, "error": error}})
                    continue
                self.documents[key] = source
                self.writes[key] += 1
                answers.append({action: {"status": 201 if self.writes[key] == 1 else 200}})
        return answers

    def ids(self):
        with self._lock:
            return sorted(identifier for _, identifier in self.documents)

    def bulks(self):
        return [request for request in list(self.requests) if request.path.startswith("/_bulk")]

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _handler(cluster):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.take(b"")
                if self.refused():
                    return
                status, body = (404, {"error": "no such thing", "status": 404})
                if self.path == "/":
                    status, body = cluster.root
                elif self.path in cluster.installed:
                    version, body = cluster.installed[self.path]
                    status, body = 200, as_asked(self.path, version, body)
                self.answer(status, body)

            def do_PUT(self):
                """Templates and policies; those of ISM are changed in the version that was seen, as OpenSearch demands."""
                self.take(self.rfile.read(int(self.headers["Content-Length"])))
                path, _, query = self.path.partition("?")
                version, _ = cluster.installed.get(path, (0, None))
                if "/_ism/" in path and query != (f"if_seq_no={version}&if_primary_term=1" if version else ""):
                    return self.answer(409, {"error": {"type": "version_conflict_engine_exception", "reason": query}})
                cluster.installed[path] = (version + 1, json.loads(self.body))
                return self.answer(200, {"acknowledged": True})

            def do_POST(self):
                fault = cluster.faults.pop(0) if cluster.faults else None
                if getattr(fault, "before_body", False):
                    return fault(self, None)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.take(body)
                if self.refused():
                    return None
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                items = parse(body)
                if fault is None:
                    return self.stored(items)
                return fault(self, items)

            def take(self, body):
                # A handler serves all requests of a connection: what is kept is this one.
                self.body = body
                kept = {"command": self.command, "path": self.path, "headers": self.headers, "body": body}
                cluster.requests.append(SimpleNamespace(**kept))

            def refused(self):
                """Whether the verifier of signatures has answered in the cluster's place."""
                refusal = cluster.verify and cluster.verify(self)
                if refusal:
                    self.answer(403, {"message": refusal})
                return refusal

            def stored(self, items):
                answers = cluster.store(items)
                self.answer(200, {"errors": any("error" in next(iter(a.values())) for a in answers), "items": answers})

            def answer(self, status, body, cut_to=None):
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[:cut_to])
                self.wfile.flush()

            def reset(self):
                """RST instead of FIN."""
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()

        Handler.cluster = cluster
        return Handler


def as_asked(path, version, body):
    """A template or policy as its API gives it back."""
    name = path.rsplit("/", 1)[1]
    if path.startswith("/_index_template/"):
        return {"index_templates": [{"name": name, "index_template": body}]}
    if path.startswith("/_ilm/"):
        return {name: {"version": version, **body}}
    return {"_id": name, "_version": version, "_seq_no": version, "_primary_term": 1, **body}


def parse(body):
    """(action, index, id, source) of each document of a bulk request."""
    lines = body.split(b"\n")
    assert lines[-1] == b"", "a bulk request ends in a line end"
    items = []
    for action, source in zip(lines[0:-1:2], lines[1::2]):
        (name, meta), = json.loads(action).items()
        items.append((name, meta["_index"], meta["_id"], json.loads(source)))
    return items


def reset_in_body(handler, _):
    """Reads a part of the body and resets."""
    handler.rfile.read(min(1000, int(handler.headers["Content-Length"])))
    handler.reset()


reset_in_body.before_body = True


def slow_reader(handler, _):
    """Reads the body in small pieces over more than a second, then does what it is to do."""
    left, body = int(handler.headers["Content-Length"]), b""
    while left:
        piece = handler.rfile.read(min(left, max(1, int(handler.headers["Content-Length"]) // 20)))
        left -= len(piece)
        body += piece
        time.sleep(0.06)
    handler.take(body)
    handler.stored(parse(body))


slow_reader.before_body = True


def busy(handler, _):
    """429 for the whole request."""
    handler.answer(429, {"error": {"type": "es_rejected_execution_exception", "reason": "full"}, "status": 429})


def applied_then_500(handler, items):
    """The write is applied, and the answer says that it failed."""
    handler.cluster.store(items)
    handler.answer(500, {"error": {"type": "exception", "reason": "after the write"}, "status": 500})


def applied_then_reset(handler, items):
    """The write is applied, and no answer comes."""
    handler.cluster.store(items)
    handler.reset()


def cut_answer(handler, items):
    """The write is applied, and half of the answer comes."""
    answers = handler.cluster.store(items)
    data = json.dumps({"errors": False, "items": answers}).encode()
    handler.answer(200, data, len(data) // 2)
    handler.reset()


def partly_busy(handler, items):
    """Every second document is stored, 429 for the others."""
    error = {"type": "es_rejected_execution_exception", "reason": "full"}
    answers = []
    for place, item in enumerate(items):
        answers += handler.cluster.store([item]) if place % 2 else [{item[0]: {"status": 429, "error": error}}]
    handler.answer(200, {"errors": True, "items": answers})


def server_context(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
