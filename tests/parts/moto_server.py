"""moto's server: services of Amazon in memory, among them DynamoDB, SQS, SNS and CloudWatch."""

import boto3
import urllib3

from .process import Server, part

REGION = "us-east-1"
ACCOUNT = "123456789012"


class MotoServer(Server):
    name = "moto"

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

    def client(self, service):
        return boto3.client(
            service, endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def queue(self, name):
        """The URL of a new queue."""
        return self.client("sqs").create_queue(QueueName=name)["QueueUrl"]

    def topic(self, name):
        """The ARN of a new topic, and the URL of a queue that gets its messages."""
        arn, url = self.client("sns").create_topic(Name=name)["TopicArn"], self.queue(f"of-{name}")
        queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:of-{name}"
        self.client("sns").subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue)
        return arn, url

    def bodies(self, queue_url):
        """What is in a queue; it is taken out."""
        client, found = self.client("sqs"), []
        while True:
            answer = client.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=0)
            messages = answer.get("Messages", [])
            if not messages:
                return found
            for message in messages:
                found.append(message["Body"])
                client.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
