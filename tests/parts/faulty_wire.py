"""A wire between a client and a server that breaks as it is told: for what no server does on request."""

import socket
import struct
import threading
import time
from dataclasses import dataclass

RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Fault:
    """What happens to one connection; nothing unless said."""

    reset_after: int | None = None  # bytes towards the server, after which both sides are cut off
    lose_answer: bool = False  # the server's first answer is swallowed, then both sides are cut off
    bytes_per_second: int | None = None  # no more than this towards the server
    stuck: bool = False  # nothing moves, either way


SOUND = Fault()


class FaultyWire:
    """Listens on a port of loopback, and passes on to `target`, which may be changed at any time.

    Connections take the `faults` in order; those that come later are sound, or as `always` says.
    """

    def __init__(self, target, faults=(), always=SOUND):
        self.target, self.faults, self.always = target, list(faults), always
        self.connections, self._stuck = 0, []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            fault = self.faults.pop(0) if self.faults else self.always
            threading.Thread(target=self._hold, args=(client, fault), daemon=True).start()

    def _hold(self, client, fault):
        if fault.stuck:
            # Small buffers of its own, which nobody empties, fill up at once.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self._stuck.append(client)
            return
        try:
            server = socket.create_connection(("127.0.0.1", self.target), timeout=10)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        answers = threading.Thread(target=self._answers, args=(server, client, fault), daemon=True)
        answers.start()
        self._requests(client, server, fault)
        answers.join()

    def _requests(self, client, server, fault):
        passed = 0
        try:
            while data := client.recv(1 << 14):
                if fault.reset_after is not None and passed + len(data) >= fault.reset_after:
                    server.sendall(data[: fault.reset_after - passed])
                    self._cut(client, server)
                    return
                server.sendall(data)
                passed += len(data)
                if fault.bytes_per_second:
                    time.sleep(len(data) / fault.bytes_per_second)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            self._cut(client, server)

    def _answers(self, server, client, fault):
        try:
            while data := server.recv(1 << 14):
                if fault.lose_answer:
                    self._cut(client, server)
                    return
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            self._cut(client, server)

    @staticmethod
    def _cut(*ends):
        for end in ends:
            try:
                # Wakes who reads from it; then a reset instead of an end, since it lingers for no time.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end.shutdown(socket.SHUT_RD)
                end.close()
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()
