"""A relay of TCP connections that notes how each begins: proof of which HTTP a client speaks, whatever it claims."""

import socket
import threading

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Relay:
    """Passes what comes on a loopback port on to another, both ways."""

    def __init__(self, port):
        self.target = port
        self.beginnings = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def protocols(self):
        """Of the connections so far that sent anything."""
        return {"http2" if one == PREFACE else "http1" for one in list(self.beginnings)}

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client):
        with client, socket.create_connection(("127.0.0.1", self.target)) as server:
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=self._pass, args=(server, client), daemon=True)
            back.start()
            beginning = self._begin(client, server)
            if beginning:
                self.beginnings.append(beginning)
                self._pass(client, server)
            back.join()

    @staticmethod
    def _begin(client, server):
        """The first bytes, as many as tell; they are passed on as they come, since nobody need send more."""
        beginning = b""
        while len(beginning) < len(PREFACE):
            try:
                data = client.recv(len(PREFACE) - len(beginning))
            except OSError:
                break
            if not data:
                break
            server.sendall(data)
            beginning += data
        return beginning

    @staticmethod
    def _pass(source, target):
        try:
            while data := source.recv(1 << 18):
                target.sendall(data)
        except OSError:
            pass
        for one in (source, target):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()
