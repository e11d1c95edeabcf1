"""Asks the broker that leads a topic and waits for its answer in the calling thread; must not know what is asked or answered.

kafka-python's clients have a loop and a thread each: a request of its producer took 1.5 ms of CPU and four switches of threads,
this takes some 0.2 ms and no switch. Requests and answers are still the library's: it writes and reads their fields. They have
fixed versions, which Kafka 2.8 to 4 serve, so that nobody asks first what a broker understands.
"""

import contextlib
import io
import socket
import struct
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from kafka import errors as kafka_errors
from kafka.protocol.metadata import MetadataRequest

METADATA_VERSION: Final = 9
"""Metadata by topic name."""

CLIENT_ID: Final = "tidegate"

FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
"""Longest answer: four times what a fetch asks for, for a single larger record comes all the same."""

READ_BYTES: Final = 64 * 1024
"""Read at first: most answers are a hundred bytes and come whole with it; of a longer one the rest is read at once."""

HEAD_BYTES_MAX: Final = 64
"""Most bytes of an answer's head: the question's number, and tags that no broker writes so far."""

RETRY_PAUSE_S: Final = 0.1
"""Pause before the brokers are asked again who leads: a change of leader takes some hundred milliseconds."""

WAIT_LEAST_S: Final = 0.05
"""Shortest wait for an answer, at the end of a caller's time."""

UNREADABLE: Final = (ValueError, IndexError, TypeError, AssertionError, struct.error)
"""What the library raises for bytes that are no answer (it asserts, too), and what looking into one that lacks a part raises (the
library takes None for any list)."""

AnswerT = TypeVar("AnswerT")
T = TypeVar("T")

_LENGTH: Final = struct.Struct(">i")
_TIME: Final = struct.Struct("ll")


class Wire:
    """One connection to one broker; one thread asks at a time, any may `interrupt`."""

    def __init__(self, host: str, port: int, *, within_s: float) -> None:
        """Connect. Raises OSError, also for what is no address."""
        try:
            self._socket = socket.create_connection((host, port), timeout=within_s)
        except ValueError as error:  # a name that can't be asked for
            raise ConnectionError(f"{host}:{port} is no address ({error})") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # With a time-out of Python's own each read would be two calls that let go of the interpreter's lock, and none could wait
        # for all of an answer.
        self._socket.settimeout(None)
        self._within_s = 0.0
        self._asked = 0
        self._buffer = bytearray(READ_BYTES)

    def ask(self, request: Any, *, within_s: float) -> Any:
        """Send the request and return its answer. Raises OSError, also for an answer that is not whole in time or is not one."""
        until_s = time.monotonic() + within_s
        if within_s != self._within_s:
            self._limit(within_s)
        self._asked += 1
        request.with_header(correlation_id=self._asked, client_id=CLIENT_ID)
        try:
            self._send(request.encode(framed=True, header=True), until_s)
            body = self._answer(until_s)
        except BlockingIOError as error:  # what the socket's own limits of time are told as
            raise TimeoutError(f"the broker did not answer in {within_s:.1f} s") from error
        return understood(partial(_answer_to, request, self._asked), body)

    def interrupt(self) -> None:
        """End whatever waits on this connection, now."""
        with contextlib.suppress(OSError):  # it is over already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection."""
        self._socket.close()

    def _send(self, question: bytes, until_s: float) -> None:
        """Write one question whole: at once, as a rule."""
        sent = self._socket.send(question)
        while sent < len(question):
            self._limit_rest(until_s)
            sent += self._socket.send(memoryview(question)[sent:])

    def _answer(self, until_s: float) -> bytearray:
        """Read one answer whole."""
        got = 0
        while got < _LENGTH.size:
            got += self._read(memoryview(self._buffer)[got:], 0, until_s)
        (length,) = _LENGTH.unpack_from(self._buffer)
        if not 0 < length <= FRAME_BYTES_MAX:
            raise ConnectionError(f"the broker's answer has {length} bytes")
        first = self._buffer[_LENGTH.size : min(got, _LENGTH.size + length)]
        if len(first) == length:
            return first
        body = bytearray(length)
        body[: len(first)] = first
        got = len(first)
        while got < length:
            got += self._read(memoryview(body)[got:], socket.MSG_WAITALL, until_s)
        return body

    def _read(self, into: memoryview, flags: int, until_s: float) -> int:
        self._limit_rest(until_s)
        count = self._socket.recv_into(into, 0, flags)
        if not count:
            raise ConnectionError("the broker closed the connection")
        return count

    def _limit_rest(self, until_s: float) -> None:
        """Give the next call the time that is left: the socket's limits count anew for each. Raises BlockingIOError, as it does.

        As a rule everything comes at once, and only the clock is looked at: 0.2 us, where setting the limits takes 4.5 us.
        """
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            raise BlockingIOError("it came in pieces")
        if self._within_s > left_s + WAIT_LEAST_S:
            self._limit(max(WAIT_LEAST_S, left_s))  # none at all would be no limit

    def _limit(self, within_s: float) -> None:
        seconds, rest = divmod(within_s, 1)
        for which in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._socket.setsockopt(socket.SOL_SOCKET, which, _TIME.pack(int(seconds), int(rest * 1_000_000)))
        self._within_s = within_s


def understood(read: Callable[[AnswerT], T], answer: AnswerT) -> T:
    """Return what `read` finds in an answer. Raises ConnectionError where the answer is empty, cut short or another's.

    A strange answer is as good as a broken connection: another try, or another broker, may answer well.
    """
    try:
        return read(answer)
    except UNREADABLE as error:
        raise ConnectionError(f"the broker's answer can't be read ({type(error).__name__}: {error})") from error


def _answer_to(request: Any, number: int, body: bytearray) -> Any:
    """Parse the answer to the question of that number. Raises ConnectionError, and what is UNREADABLE."""
    kind = request.header.get_response_class()
    head = io.BytesIO(body[:HEAD_BYTES_MAX])
    if kind.parse_header(head).correlation_id != number:
        raise ConnectionError("the broker answered another question")
    return kind.decode(memoryview(body)[head.tell() :])


class Leader:
    """The way to whoever leads a topic's only partition; one thread asks at a time, any may `interrupt`."""

    def __init__(self, bootstrap: str, topic: str, *, request_wait_s: float) -> None:
        """Connect nothing yet. `request_wait_s` is the longest wait for one answer of one broker."""
        self._addresses: Final = dict.fromkeys(map(_address, bootstrap.split(",")))
        self._topic: Final = topic
        self._request_wait_s: Final = request_wait_s
        self._wire: Wire | None = None
        self._interrupted: Final = threading.Event()
        self.asked_count = 0
        """How many requests may have reached a broker."""

    def ask(self, request: Any, code_of: Callable[[Any], int], *, until_s: float) -> Any:
        """Return the answer whose code is 0. What another try can mend is tried again, the same request, until then (monotonic).

        Raises KafkaError, and OSError while nobody can be reached. After an error the next request finds out anew who leads.
        """
        while True:
            try:
                wire = self._connected(until_s)
                self.asked_count += 1
                answer = wire.ask(request, within_s=self._within_s(until_s))
                _raise_if(understood(code_of, answer))
            except (OSError, kafka_errors.KafkaError) as error:
                self.let_go()
                is_final = isinstance(error, kafka_errors.KafkaError) and not isinstance(error, kafka_errors.RetriableError)
                if is_final or time.monotonic() + RETRY_PAUSE_S > until_s or self._interrupted.wait(RETRY_PAUSE_S):
                    raise
            else:
                return answer

    def interrupt(self) -> None:
        """End what is asked now, and all that would be asked later."""
        self._interrupted.set()
        wire = self._wire
        if wire is not None:
            wire.interrupt()

    def let_go(self) -> None:
        """Close the connection; the next request opens another."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def _connected(self, until_s: float) -> Wire:
        if self._wire is None:
            host, port = self._found(until_s)
            return self._opened(host, port, until_s)
        return self._wire

    def _opened(self, host: str, port: int, until_s: float) -> Wire:
        """Connect, where `interrupt` finds the connection. Raises OSError."""
        self._wire = wire = Wire(host, port, within_s=self._within_s(until_s))
        self._raise_if_interrupted()  # only now, for who interrupts looks for a connection after saying so
        return wire

    def _found(self, until_s: float) -> tuple[str, int]:
        """Ask the brokers, one after the other, who leads the topic. Raises OSError and KafkaError.

        Each has its share of the time that is left, so that a silent one leaves some to those behind it; next time it is last.
        After `interrupt` no other is asked.
        """
        failure: Exception = ConnectionError("no address was given")
        addresses = tuple(self._addresses)
        for asked_count, (host, port) in enumerate(addresses):
            self._raise_if_interrupted()
            now_s = time.monotonic()
            share_until_s = now_s + (until_s - now_s) / (len(addresses) - asked_count)
            try:
                return self._leader(self._opened(host, port, share_until_s), share_until_s)
            except (OSError, kafka_errors.RetriableError) as error:
                failure = error
            finally:
                self.let_go()
            self._addresses[host, port] = self._addresses.pop((host, port))
        raise failure

    def _leader(self, wire: Wire, until_s: float) -> tuple[str, int]:
        wanted = MetadataRequest.MetadataRequestTopic(name=self._topic)
        request = MetadataRequest(version=METADATA_VERSION, topics=[wanted], allow_auto_topic_creation=False)
        answer = wire.ask(request, within_s=self._within_s(until_s))
        brokers = understood(_brokers, answer)
        self._addresses.update(dict.fromkeys(brokers.values()))  # any of them may be asked when the first ones are gone
        for code, leader_ids in understood(_leaders, answer):
            _raise_if(code)
            for leader_id in leader_ids:
                if leader_id in brokers:
                    return brokers[leader_id]
        raise kafka_errors.LeaderNotAvailableError(f"nobody leads {self._topic} now")

    def _raise_if_interrupted(self) -> None:
        if self._interrupted.is_set():
            raise ConnectionAbortedError("the connection was closed by us")

    def _within_s(self, until_s: float) -> float:
        return max(WAIT_LEAST_S, min(self._request_wait_s, until_s - time.monotonic()))


def _brokers(answer: Any) -> dict[int, tuple[str, int]]:
    """The brokers that an answer names, and where they are. Raises what is UNREADABLE."""
    return {int(broker.node_id): (_host(broker), int(broker.port)) for broker in answer.brokers}


def _host(broker: Any) -> str:
    """Where a broker is. Raises ValueError where its host is missing or empty: that would be a name, or this machine."""
    if not broker.host:
        raise ValueError(f"broker {broker.node_id} has no host")
    return str(broker.host)


def _leaders(answer: Any) -> list[tuple[int, list[int]]]:
    """The code of each topic in an answer, and who leads its partitions."""
    return [(int(topic.error_code), [int(part.leader_id) for part in topic.partitions]) for topic in answer.topics]


def _raise_if(code: int) -> None:
    error = kafka_errors.for_code(code)
    if error is not kafka_errors.NoError:
        raise error(f"code {code}")


def _address(text: str) -> tuple[str, int]:
    """Read HOST:PORT. Raises ValueError."""
    host, _, port = text.strip().rpartition(":")
    return host, int(port)
