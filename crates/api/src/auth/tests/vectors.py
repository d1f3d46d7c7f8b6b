"""Requests signed by botocore, as `vectors.json` holds them: `python vectors.py > vectors.json` makes it anew."""

import datetime
import json
from hashlib import sha256
from unittest import mock
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5)
PLAIN = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SESSION = Credentials("ASIAEXAMPLE", "secret/of+a=session", "IQoJb3JpZ2luX2VjE==/+token")
BODY = b'{"StreamName":"s"}'
USUAL = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Kinesis_20131202.DescribeStreamSummary"}
HTTP = "http://127.0.0.1:4567"
HTTPS = "https://kinesis.eu-west-1.amazonaws.com"


class PresignedWithBody(SigV4QueryAuth):
    """botocore moves the body of a presigned request into its query; here it stays, and is signed."""

    def __init__(self, *arguments, body, **options):
        super().__init__(*arguments, **options)
        self.body = body

    def payload(self, request):
        return sha256(self.body).hexdigest()


def signed(name, url=f"{HTTP}/", headers=(), body=BODY, credentials=PLAIN, region="us-east-1", params=None,
           presigned=None, context=None, method="POST", host=True):
    request = AWSRequest(method=method, url=url, params=params or {}, data=None if presigned else body)
    for key, value in [*USUAL.items(), *headers]:
        request.headers.add_header(key, value)
    request.context.update(context or {})
    arguments = (credentials, "kinesis", region)
    signer = PresignedWithBody(*arguments, body=body, expires=presigned) if presigned else SigV4Auth(*arguments)
    with mock.patch("botocore.auth.get_current_datetime", lambda: NOW):
        signer.add_auth(request)
    url = urlsplit(request.prepare().url)
    headers = [[key, value] for key, value in request.headers.items()]
    netloc = url.netloc
    return {
        "name": name,
        "method": method,
        "authority": netloc,
        "target": url.path + (f"?{url.query}" if url.query else ""),
        "headers": ([["Host", netloc]] if host else []) + headers,
        "body": body.decode(),
        "region": region,
        "access_key_id": credentials.access_key,
        "presigned": presigned or 0,
    }


VECTORS = [
    signed("plain"),
    signed("session token", credentials=SESSION),
    signed("another region, standard port", url=f"{HTTPS}/", region="eu-west-1"),
    signed("no Host header, as in HTTP/2", url=f"{HTTPS}/", host=False),
    signed("another method", method="PUT"),
    signed("empty body", body=b""),
    signed("unicode body", body='{"StreamName":"é世🦀"}'.encode()),
    signed("dots and slashes", url=f"{HTTP}//a/./b//../c%20d/"),
    signed("encoded path", url=f"{HTTP}/%C3%A9/a%2Fb/c+d:e@f~g!$&'()*,;="),
    signed("two dots above the root", url=f"{HTTP}/../../x"),
    signed("query of the address", url=f"{HTTP}/p?b=2&a=1&a=0&empty=&B=%C3%A9%20x"),
    signed("query of parameters", params={"b c": "d e+f", "a": "é/世", "a-b": "~_.-", "A": ""}),
    signed("blanks in a header", headers=[("X-Amz-Meta", "  a   b \t c  "), ("X-Empty", "")]),
    signed("repeated header", headers=[("X-Amz-Meta", "b"), ("X-Amz-Meta", " a"), ("X-Amz-Meta", "a,c")]),
    signed("unicode header", headers=[("X-Amz-Meta", "é世🦀")]),
    signed("a quoted header", headers=[("X-Amz-Meta", 'a "b   c"; d=e')]),
    signed("a Date header", headers=[("Date", "replaced")]),
    signed("the payload's hash in a header", headers=[("X-Amz-Content-SHA256", sha256(BODY).hexdigest())]),
    signed("payload not signed", url=f"{HTTPS}/", context={"payload_signing_enabled": False}),
    signed("presigned", presigned=60),
    signed("presigned for a week", presigned=604800, url=f"{HTTPS}/", region="eu-west-1"),
    signed("presigned with a session token", presigned=900, credentials=SESSION),
    signed("presigned with a query", presigned=60, url=f"{HTTP}/a%20b?z=%C3%A9%2B1&A=&b=c%20d"),
    signed("presigned with headers", presigned=60, headers=[("X-Amz-Meta", " a  b "), ("X-Amz-Meta", "é")]),
]

if __name__ == "__main__":
    print("[\n" + ",\n".join(json.dumps(vector, ensure_ascii=False) for vector in VECTORS) + "\n]")
