"""What the newest clients speak to CloudWatch, put in front of moto's.

moto does not read Smithy's RPC v2 in CBOR, which the AWS SDK for Rust speaks there. A gateway takes it apart with
botocore's own parser, asks moto by boto3, and answers with botocore's own serializer.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import botocore.session
from botocore import parsers, xform_name
from botocore.serialize import RpcV2CBORSerializer

CBOR = "application/cbor"
_MODEL = botocore.session.get_session().get_service_model("cloudwatch")


class CloudWatchGateway:
    """CloudWatch in CBOR before another one; `calls` are the operations asked for."""

    def __init__(self, server):
        cloud_watch, calls = server.client("cloudwatch"), []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                """`/service/NAME/operation/OPERATION`."""
                operation = self.path.rsplit("/", 1)[-1]
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert (self.headers["smithy-protocol"], self.headers["Content-Type"]) == ("rpc-v2-cbor", CBOR)
                calls.append(operation)
                answer = getattr(cloud_watch, xform_name(operation))(**parsed(body))
                answer.pop("ResponseMetadata")
                encoded = bytearray()
                shape = _MODEL.operation_model(operation).output_shape
                RpcV2CBORSerializer()._serialize_data_item(encoded, answer, shape)
                self.send_response(200)
                self.send_header("Content-Type", CBOR)
                self.send_header("smithy-protocol", "rpc-v2-cbor")
                self.send_header("Content-Length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, *_):
                """Nothing."""

        self.calls = calls
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


def parsed(body):
    """The members of a request."""
    parser = parsers.create_parser("smithy-rpc-v2-cbor")
    return parser.parse_data_item(parser.get_peekable_stream_from_bytes(body))
