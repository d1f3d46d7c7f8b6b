"""Real nodes: OpenSearch 3 and 2, Elasticsearch 7 and 9."""

import json

import urllib3

from .process import Server, free_port, part


class OpenSearchNode(Server):
    name = "opensearch"
    main = "OpenSearchNode"
    tells_version = True
    has_data_streams = True
    has_processors = True
    ready_seconds = 180

    def __init__(self, folder, write_queue_size=10_000):
        super().__init__(folder)
        self.transport_port = free_port()
        self.write_queue_size = write_queue_size
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._http = urllib3.PoolManager(retries=False, timeout=60)

    def command(self):
        installed = part(self.name, "classpath.txt").parent
        classpath = f"{installed / 'target' / 'classes'}:{(installed / 'classpath.txt').read_text().strip()}"
        java = f"{(installed / 'java_home.txt').read_text().strip()}/bin/java"
        command = [
            java, "-Xms1g", "-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classpath,
            self.main, self.folder / "node", self.port, self.transport_port, self.write_queue_size,
        ]
        return command, {}

    def is_ready(self):
        try:
            return self.get("/_cluster/health")["status"] in ("green", "yellow")
        except (urllib3.exceptions.HTTPError, AssertionError):
            return False

    def start(self):
        super().start()
        # One node: replicas would stay unassigned for ever.
        self.request("PUT", "/_index_template/one-node", {
            "index_patterns": ["*"],
            "priority": 0,
            "template": {"settings": {"number_of_replicas": 0, "number_of_shards": 1}},
        })
        return self

    def request(self, method, path, body=None, content_type="application/json"):
        """The answer's JSON; fails unless the status is 2xx."""
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        answer = self._http.request(method, self.endpoint + path, body=body, headers={"Content-Type": content_type})
        assert 200 <= answer.status < 300, f"{method} {path}: {answer.status} {answer.data[:2000]!r}"
        return json.loads(answer.data)

    def get(self, path):
        return self.request("GET", path)

    def documents(self, pattern):
        """All documents of the indices that match: a list of (index, id, source)."""
        self.request("POST", f"/{pattern}/_refresh")
        found = []
        page = self.request("POST", f"/{pattern}/_search?scroll=2m", {
            "size": 5000, "sort": ["_doc"], "query": {"match_all": {}}, "track_total_hits": True,
        })
        total = page["hits"]["total"]["value"]
        while page["hits"]["hits"]:
            found += [(hit["_index"], hit["_id"], hit["_source"]) for hit in page["hits"]["hits"]]
            page = self.request("POST", "/_search/scroll", {"scroll": "2m", "scroll_id": page["_scroll_id"]})
        assert len(found) == total
        return found

    def count(self, pattern):
        self.request("POST", f"/{pattern}/_refresh?ignore_unavailable=true&allow_no_indices=true")
        return self.get(f"/{pattern}/_count?ignore_unavailable=true&allow_no_indices=true")["count"]


class OpenSearch2Node(OpenSearchNode):
    name = "opensearch2"


class Elasticsearch7Node(OpenSearchNode):
    """Without the features of Elastic's basic licence, as Amazon's domains."""

    name = "elasticsearch7"
    main = "ElasticsearchNode"
    has_data_streams = False


class Elasticsearch9Node(OpenSearchNode):
    """The server alone: the registry has none of the modules beside its HTTP, not even the one that answers `GET /`."""

    name = "elasticsearch9"
    main = "Elasticsearch9Node"
    tells_version = False
    has_data_streams = False
    has_processors = False

    def command(self):
        command, environment = super().command()
        return [*command, part(self.name, "classpath.txt").parent], environment
