"""A proxy for HTTPS that leads every host to one port of loopback, whatever its name: clients of Amazon end up there."""


from .relay import Relay


class Tunnel(Relay):
    """Answers `CONNECT HOST:443`, and passes on what follows; `hosts` are the names asked for."""

    def __init__(self, port):
        self.hosts = set()
        super().__init__(port)

    def _relay(self, client):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            more = client.recv(1)
            if not more:
                return client.close()
            head += more
        method, host, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        assert method == "CONNECT", head
        self.hosts.add(host)
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        return super()._relay(client)
