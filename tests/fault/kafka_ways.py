"""Ways to brokers that lose answers alone, or bring what was on them after what was sent later; must not read what passes."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tests.fault.partition import PIECE_BYTES, Way


class LaggingWay(Way):
    """A way with a gate for both directions and one for answers. A piece waits at the gate that stood when it was read, so that
    a gate which is left behind shut keeps what is late, and its connection with it, while new connections pass."""

    def __init__(self, to_port: int) -> None:
        self._answers = _open_gate()
        self._late: list[threading.Event] = []
        super().__init__(to_port)

    def hold(self) -> None:
        """From now on nothing passes, in either direction."""
        self._open = threading.Event()

    def hold_answers(self) -> None:
        """From now on requests pass and answers do not: what is asked is done, and who asked never hears."""
        self._answers = threading.Event()

    def pass_new(self) -> None:
        """New connections pass from now on; what is held is late until `deliver_late`."""
        self._late += [self._open, self._answers]
        self._open, self._answers = _open_gate(), _open_gate()

    def deliver_late(self) -> None:
        """What was late goes on its way."""
        late, self._late = self._late, []
        for gate in late:
            gate.set()

    def let_go(self) -> None:
        """What was held goes on its way."""
        self._answers.set()
        super().let_go()
        self.deliver_late()

    def cut(self) -> None:
        """What was held is lost and its connections are gone; new ones pass."""
        self._end_all()
        self.let_go()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            is_answer = one.getpeername()[1] == self._to_port
            while piece := one.recv(PIECE_BYTES):
                for gate in (self._open, self._answers) if is_answer else (self._open,):
                    gate.wait()
                other.sendall(piece)
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


class Ways:
    """One process's ways to all brokers, switched together."""

    def __init__(self, ways: dict[int, LaggingWay]) -> None:
        self.by_port = ways

    @property
    def ports(self) -> dict[int, int]:
        """The port by which each broker's is reached."""
        return {port: way.port for port, way in self.by_port.items()}

    @property
    def connections(self) -> int:
        """Connections made so far."""
        return sum(way.connections for way in self.by_port.values())

    def each(self, switch: Callable[[LaggingWay], None]) -> None:
        """Switch them all: `ways.each(LaggingWay.hold)`."""
        for way in self.by_port.values():
            switch(way)


def _open_gate() -> threading.Event:
    gate = threading.Event()
    gate.set()
    return gate


@contextmanager
def ways_to(ports: Sequence[int]) -> Iterator[Ways]:
    """Ways to these ports, for the length of a `with` block."""
    with ExitStack() as stack:
        made = {port: LaggingWay(port) for port in ports}
        for way in made.values():
            stack.callback(way.close)
        yield Ways(made)
