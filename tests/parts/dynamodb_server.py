"""moto's server: DynamoDB for the Kinesis Client Library's leases."""

import urllib3

from .process import Server, part


class DynamoDbServer(Server):
    name = "dynamodb"

    def __init__(self, folder):
        super().__init__(folder)
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def command(self):
        return [part("venv", "bin", "moto_server"), "-H", "127.0.0.1", "-p", self.port], {}

    def is_ready(self):
        try:
            return urllib3.request("GET", f"{self.endpoint}/moto-api/", retries=False, timeout=2).status == 200
        except urllib3.exceptions.HTTPError:
            return False
