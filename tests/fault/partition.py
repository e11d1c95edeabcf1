"""Stands between one process and a port of this machine, and lets nothing through while it is told so; reads no byte."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Final
from unittest.mock import patch

from tests.e2e import town as town_module
from tests.e2e.town import command

PIECE_BYTES: Final = 64 * 1024
"""Read at once; what one piece holds is what a partition catches on its way."""

REDIRECT: Final = """
import json, socket
WAYS = {{int(port): by for port, by in json.loads({ways!r}).items()}}
for name in ("connect", "connect_ex"):
    def by_the_way(self, address, plain=getattr(socket.socket, name)):
        return plain(self, (address[0], WAYS.get(address[1], address[1])) if self.family == socket.AF_INET else address)
    setattr(socket.socket, name, by_the_way)
"""
"""What the process runs first: brokers name their own port to their clients, so the way must be bent in the process itself."""


class Way:
    """A way to a port of this machine. Held bytes are delivered when it is open again, as a network that lagged would; a way
    that is `cut` loses them, and its connections with them."""

    def __init__(self, to_port: int) -> None:
        self.connections = 0
        self._to_port = to_port
        self._open = threading.Event()
        self._open.set()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="way", daemon=True).start()

    def hold(self) -> None:
        """From now on nothing passes, in either direction; connections are taken and lead nowhere."""
        self._open.clear()

    def let_go(self) -> None:
        """What was held goes on its way."""
        self._open.set()

    def cut(self) -> None:
        """What was held is lost and its connections are gone; new ones pass."""
        self._end_all()
        self._open.set()

    def close(self) -> None:
        """End it all."""
        self._listener.close()
        self.cut()

    def _end_all(self) -> None:
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        self._sockets.append(near)
        self._open.wait()
        try:
            far = socket.create_connection(("127.0.0.1", self._to_port))
        except OSError:
            near.close()
            return
        self._sockets.append(far)
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := one.recv(PIECE_BYTES):
                self._open.wait()
                other.sendall(piece)
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextlib.contextmanager
def way_to(port: int) -> Iterator[Way]:
    """A way to a port, for the length of a `with` block."""
    way = Way(port)
    try:
        yield way
    finally:
        way.close()


@contextlib.contextmanager
def by_ways(ways: Mapping[int, Way]) -> Iterator[None]:
    """Processes that the town starts in this block reach these ports by these ways."""
    prelude = REDIRECT.format(ways=json.dumps({port: way.port for port, way in ways.items()}))

    def bent(words: list[str]) -> list[str]:
        python, flag, program, *rest = command(words)
        return [python, flag, f"{prelude}\n{program}", *rest]

    with patch.object(town_module, "command", bent):
        yield
