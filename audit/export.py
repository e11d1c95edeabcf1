"""The whole log as one file of JSON lines, each chained to the one before; must not know what a fact means.

First line: a manifest with the ends of the streams. Then each record: `stream`, `position`, `at`, `at_ms`, `headers`, `key`,
`sha256` of the value, the decoded `fact` where it is one, `payload_base64`. Each line ends with `chain`, the SHA-256 of the chain
so far and of the line without it; the last line has the counts and the final chain. So a line that was altered, removed, inserted
or swapped is found where it stands. The chain is no signature: who rewrites the whole file makes a new one, so keep the last
line's `chain` where the file is not.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, Final

from audit.reading import Progress, learn_schemas, records, silent
from eventlog.port import EventLog
from schemas.codec import Codec, CodecError
from schemas.messages import from_ms
from schemas.streams import ALL_STREAMS, DESK, MODES, Record, lane

FORMAT: Final = "tidegate-export-1"
FACT_STREAMS: Final = frozenset({DESK, *(lane(mode) for mode in MODES)})


@dataclass(frozen=True, slots=True)
class Summary:
    """What was written: records by stream, bytes, and the chain's end (SHA-256 in hex)."""

    counts: dict[str, int]
    size_bytes: int
    chain: str


class Chain:
    """The running SHA-256 over the lines."""

    def __init__(self) -> None:
        self.value: str = hashlib.sha256(FORMAT.encode()).hexdigest()

    def take(self, body: bytes) -> str:
        """Add a line without its own chain; the chain's new value."""
        self.value = hashlib.sha256(self.value.encode() + body).hexdigest()
        return self.value


def export(log: EventLog, codec: Codec, out: BinaryIO, *, progress: Progress = silent) -> Summary:
    """Write every record of every stream, up to where each ended when this began.

    The lanes' ends are fixed first, then the desk's, then their sources', so that the file holds all that its facts speak of.

    Raises what the log raises, CodecError when its schemas can't be read, and OSError of `out`.
    """
    learn_schemas(log, codec)
    lanes_first = sorted(ALL_STREAMS, key=lambda stream: (stream not in FACT_STREAMS, stream == DESK))
    ends = {stream: log.end(stream) for stream in lanes_first}
    writer = _Writer(out)
    writer.line({"format": FORMAT, "ends": ends})
    counts = dict.fromkeys(ALL_STREAMS, 0)
    for stream in ALL_STREAMS:
        for record in records(log, stream, end=ends[stream], progress=progress):
            writer.line(_record(record, stream, codec))
            counts[stream] += 1
    writer.line({"end": FORMAT, "counts": counts})
    return Summary(counts, writer.size_bytes, writer.chain.value)


class _Writer:
    def __init__(self, out: BinaryIO) -> None:
        self.chain = Chain()
        self.size_bytes = 0
        self._out = out

    def line(self, fields: dict[str, Any]) -> None:
        body = json.dumps(fields, separators=(",", ":")).encode()
        line = body[:-1] + f',"chain":"{self.chain.take(body)}"}}\n'.encode()
        self._out.write(line)
        self.size_bytes += len(line)


def _record(record: Record, stream: str, codec: Codec) -> dict[str, Any]:
    return {
        "stream": stream,
        "position": record.position,
        "at": from_ms(record.at_ms),
        "at_ms": record.at_ms,
        "headers": [_header(name, value) for name, value in record.headers],
        "key": None if record.key is None else base64.b64encode(record.key).decode(),
        "sha256": hashlib.sha256(record.value).hexdigest(),
        **_fact(record, stream, codec),
        "payload_base64": base64.b64encode(record.value).decode(),
    }


def _header(name: str, value: bytes | None) -> dict[str, str | None]:
    """A header as text where it is text; Kafka lets a stranger send one without a value."""
    if value is None:
        return {"name": name, "text": None}
    try:
        return {"name": name, "text": value.decode("utf-8")}
    except UnicodeDecodeError:
        return {"name": name, "base64": base64.b64encode(value).decode()}


def _fact(record: Record, stream: str, codec: Codec) -> dict[str, Any]:
    if stream not in FACT_STREAMS:
        return {}
    try:
        fact = codec.decode(record.value)
    except CodecError as unreadable:
        return {"fact": None, "unreadable": str(unreadable)}
    return {"fact": {"type": type(fact).__name__, **asdict(fact)}}


def record_of(fields: dict[str, Any]) -> Record:
    """Read a record back from its line. Raises KeyError, TypeError or ValueError for what `export` did not write."""
    value = base64.b64decode(fields["payload_base64"], validate=True)
    if hashlib.sha256(value).hexdigest() != fields["sha256"]:
        raise ValueError("its payload has another SHA-256 than the line says")
    key = None if fields["key"] is None else base64.b64decode(fields["key"], validate=True)
    return Record(int(fields["position"]), int(fields["at_ms"]), value, tuple(_headers(fields["headers"])), key)


def _headers(fields: list[dict[str, Any]]) -> Iterator[tuple[str, bytes | None]]:
    for header in fields:
        if "base64" in header:
            yield header["name"], base64.b64decode(header["base64"], validate=True)
        else:
            yield header["name"], None if header["text"] is None else header["text"].encode()
