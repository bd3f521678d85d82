"""A TCP proxy before a server, which cuts the connection where a test wants it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType


class CuttingProxy:
    """``cut``: the bytes of a request that is not passed on any more; its connection ends instead.

    ``deliver``: pass that request on all the same, and keep its answer. ``hold``: say nothing instead, as a server that
    is stopped does, and keep the connection.
    """

    def __init__(self, host: str, port: int) -> None:
        self.cut: bytes | None = None
        self.deliver = False
        self.hold = False
        self._server = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> CuttingProxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._server) as server:
            requests = threading.Thread(target=self._requests, args=(client, server), daemon=True)
            requests.start()
            self._answers(server, client)
            requests.join()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                if self.hold and self.cut is not None and self.cut in data:
                    continue
                if self.cut is not None and self.cut in data:
                    if self.deliver:
                        client.shutdown(socket.SHUT_WR)
                        server.sendall(data)
                    break
                server.sendall(data)
        for end in (client, server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RD if self.deliver and end is server else socket.SHUT_RDWR)

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                client.sendall(data)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
