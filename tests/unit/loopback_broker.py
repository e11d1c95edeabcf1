"""A broker on the loopback that answers as a test says; must not know who asks it."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from kafka.protocol.metadata import MetadataResponse
from kafka.protocol.producer import InitProducerIdRequest, InitProducerIdResponse

from eventlog.kafka_wire import METADATA_VERSION

TOPIC = "test.desk"
IDENTITY_VERSION = 3
METADATA, IDENTITY = 3, 22
SOON_S = 5.0

Answering = Callable[[int, int], Iterable[bytes]]
"""What a broker writes, piece by piece, to a question of that kind and number; nothing: it hangs up."""

Leading = Callable[[int, int], Iterable[bytes]]
"""What a broker at that port writes, piece by piece, to a question of that number about who leads; nothing: it hangs up."""


def itself(number: int, port: int) -> Iterable[bytes]:
    """The broker that is asked leads every topic."""
    partition = MetadataResponse.MetadataResponseTopic.MetadataResponsePartition
    topic = MetadataResponse.MetadataResponseTopic(
        error_code=0,
        name=TOPIC,
        partitions=[partition(error_code=0, partition_index=0, leader_id=1, replica_nodes=[1], isr_nodes=[1])],
    )
    broker = MetadataResponse.MetadataResponseBroker(node_id=1, host="127.0.0.1", port=port)
    answer = MetadataResponse(version=METADATA_VERSION, brokers=[broker], controller_id=1, topics=[topic])
    return (framed(number, answer.encode()),)


class Broker:
    """A broker on the loopback that answers, and names the leader, as a test says."""

    def __init__(self, answering: Answering, leading: Leading = itself) -> None:
        self._answering = answering
        self._leading = leading
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.asked: list[int] = []
        self._threads = [threading.Thread(target=self._listen, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """Listen no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(SOON_S)

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reading:
            while head := reading.read(4):
                question = reading.read(struct.unpack(">i", head)[0])
                kind, _, number = struct.unpack_from(">hhi", question)
                self.asked.append(kind)
                pieces = self._leading(number, self.port) if kind == METADATA else self._answering(kind, number)
                if not self._write(connection, pieces):
                    return

    def _write(self, connection: socket.socket, pieces: Iterable[bytes]) -> bool:
        """Whether there was something to write, and somebody to read it."""
        written = False
        for piece in pieces:
            try:
                connection.sendall(piece)
            except OSError:
                return False
            written = True
            time.sleep(0.01)
        return written


def framed(number: int, body: bytes) -> bytes:
    """An answer with its length, the question's number and no tags."""
    return struct.pack(">iib", len(body) + 5, number, 0) + body


def identity(code: int = 0, number: int = 42) -> bytes:
    """The body of an answer that gives a producer a number, or an error."""
    return bytes(InitProducerIdResponse(version=IDENTITY_VERSION, error_code=code, producer_id=number, producer_epoch=0).encode())


def question() -> InitProducerIdRequest:
    """A question of the kind that a producer asks first."""
    return InitProducerIdRequest(version=IDENTITY_VERSION, transaction_timeout_ms=1, producer_id=-1, producer_epoch=-1)


@contextmanager
def serving(answering: Answering, leading: Leading = itself) -> Iterator[Broker]:
    """A broker for the length of a block."""
    broker = Broker(answering, leading)
    try:
        yield broker
    finally:
        broker.close()
