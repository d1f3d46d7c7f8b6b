"""MinIO: an S3 server."""

import base64

import boto3
import urllib3
from botocore.config import Config

from .process import Server, free_port, part

# A key of the server's own, so that it can encrypt: a name, and 32 bytes in base64.
KMS_KEY = "test-key"
KMS_SECRET = f"{KMS_KEY}:{base64.b64encode(bytes(range(32))).decode()}"
ACCESS_KEY = "testaccess"
SECRET_KEY = "testsecretkey"
REGION = "us-east-1"


class S3Server(Server):
    name = "s3"

    def __init__(self, folder):
        super().__init__(folder)
        self.console_port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.environment = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}

    def command(self):
        data = self.folder / "objects"
        data.mkdir(parents=True, exist_ok=True)
        command = [
            part("bin", "minio"), "server", "--quiet",
            "--address", f"127.0.0.1:{self.port}",
            "--console-address", f"127.0.0.1:{self.console_port}",
            data,
        ]
        return command, {
            "MINIO_ROOT_USER": ACCESS_KEY,
            "MINIO_ROOT_PASSWORD": SECRET_KEY,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
            "MINIO_CI_CD": "on",
            "MINIO_KMS_SECRET_KEY": KMS_SECRET,
            "HOME": str(self.folder),
        }

    def is_ready(self):
        try:
            answer = urllib3.request("GET", f"{self.endpoint}/minio/health/ready", retries=False, timeout=1)
            return answer.status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def client(self):
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
            config=Config(s3={"addressing_style": "path"}),
        )

    def objects(self, bucket, prefix=""):
        """Key → bytes, of all objects below a prefix."""
        client = self.client()
        found = {}
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                body = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"]
                found[entry["Key"]] = body.read()
        return found
