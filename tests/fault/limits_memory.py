"""What Tidegate takes of memory when it is given far too much, each case in a process of its own; must not know what is right.

A case does a small thing first, so that all is loaded, then the large one; the kernel tells the most memory that was in use in
between. Whatever pours runs in another process.
"""

import asyncio
import contextlib
import gc
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from console.cli import run
from console.clock import wall_ms
from eventlog.port import ENTRY_BYTES_MAX
from eventlog.sqlite import PAGE_BYTES_MAX, SqliteLog
from gateway.https import PAGE_BODY_BYTES_MAX, REPLY_BODY_BYTES_MAX, HttpsGateway
from gateway.port import GatewayUnavailable, Transmission
from producers.batches import LINE_BYTES_MAX
from producers.bulletins import BULLETIN_BYTES_MAX
from producers.publisher import BATCH_BYTES_MAX, Publisher
from schemas.messages import PAYLOAD_BYTES_MAX, parse_attributes
from schemas.streams import Entry, inbound
from tests.fault.hostile_acts import POLLS, POSTS, QUESTIONS
from tests.fault.hostile_wire import Exchange, Gone, read_request

MIB: Final = 1024 * 1024

ROOM_BYTES: Final = 16 * MIB
"""What Python's allocator and its libraries may take beside: seen 1 to 8 MiB."""

ASKED_COUNT: Final = 5
"""How often CBSA is asked in a row: what one reply costs must be free for the next."""

CHILD_WAIT_S: Final = 300.0
"""Longest time of one case: a gigabyte is hashed in some seconds."""

MESSAGE: Final = {"key": "k1", "tenant": "acme", "mode": "air", "kind": "other"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case. `given_bytes`: how much it is given; `limit_bytes`: the limit that is to hold, by its name; `times`: the bar, in
    times the limit, for the peak over what was in use before. `said`: what must be said then."""

    name: str
    given: str
    limit: str
    limit_bytes: int
    times: int
    said: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What a case came to."""

    name: str
    grew_bytes: int
    most_bytes: int
    said: str


PAGE: Final[dict[str, Any]] = {"limit": "PAGE_BODY_BYTES_MAX", "limit_bytes": PAGE_BODY_BYTES_MAX, "times": 3}
WIDE: Final[dict[str, Any]] = PAGE | {"times": 12}
REPLY: Final[dict[str, Any]] = {"limit": "REPLY_BODY_BYTES_MAX", "limit_bytes": REPLY_BODY_BYTES_MAX, "times": 4}
PAYLOAD: Final[dict[str, Any]] = {"limit": "PAYLOAD_BYTES_MAX", "limit_bytes": PAYLOAD_BYTES_MAX, "times": 4}
LINE: Final[dict[str, Any]] = {"limit": "LINE_BYTES_MAX", "limit_bytes": LINE_BYTES_MAX, "times": 4}
NOTICE: Final[dict[str, Any]] = {"limit": "BULLETIN_BYTES_MAX", "limit_bytes": BULLETIN_BYTES_MAX, "times": 4}
BATCH: Final[dict[str, Any]] = {"limit": "BATCH_BYTES_MAX", "limit_bytes": BATCH_BYTES_MAX, "times": 4}
READ: Final[dict[str, Any]] = {"limit": "PAGE_BYTES_MAX", "limit_bytes": PAGE_BYTES_MAX, "times": 2}
"""The limits that are to hold, and the bars."""


def cases(size: str) -> list[Case]:
    """All cases; the sample has a shorter file, every limit is the real one."""
    line = 1024 if size == "full" else 96
    given: list[tuple[str, str, dict[str, Any], str]] = [
        ("poll never_ends", "a page that never ends", PAGE, "longer than"),
        ("poll is_a_gibibyte", "a page of 1 GiB", PAGE, "longer than"),
        ("poll has_a_million_answers", "a page with a million answers", PAGE, "are read"),
        ("poll is_all_brackets", "a page of 24 MB of brackets", PAGE, "are read"),
        ("poll is_as_wide_as_can_be", "a page of 33 MB with a letter that makes it four times as wide", WIDE, "count=1"),
        ("poll never_ends_its_head", "a head that never ends", REPLY, "no whole reply"),
        ("send never_ends", "a reply that never ends", REPLY, "longer than"),
        ("send is_a_gibibyte", "a reply of 1 GiB", REPLY, "longer than"),
        ("query is_a_gibibyte", "a status reply of 1 GiB", REPLY, "known=None"),
        ("message 100", "a message of 100 MiB", PAYLOAD, "payload_too_large"),
        (f"line {line}", f"a line of {line} MiB in a batch", LINE, "line_too_long"),
        ("nonsense 1", "a batch of a million lines that are no message", LINE, "lines were turned away"),
        ("notice 100", "a notice of 100 MiB", NOTICE, "give the notice alone"),
        ("publish 40", "forty messages of 5 MiB at once", BATCH, "40 receipts"),
        ("read 24", "24 records of 8 MiB to read", READ, "8 records"),
    ]
    return [Case(name=name, given=what, said=said, **limit) for name, what, limit, said in given]


def measure(case: Case) -> Measured:
    """Run a case in a process of its own."""
    what, _, which = case.name.partition(" ")
    acts = {"poll": POLLS, "send": POSTS, "query": QUESTIONS}.get(what)
    with tempfile.TemporaryDirectory(prefix="tidegate-limits-") as folder, contextlib.ExitStack() as stack:
        port = stack.enter_context(_pouring(acts[which])) if acts is not None else 0
        asked = [sys.executable, "-c", "from tests.fault.limits_memory import child; child()", what, which, str(port), folder]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        done = subprocess.run(asked, env=environment, capture_output=True, timeout=CHILD_WAIT_S, text=True, check=False)
    assert done.returncode == 0, f"{case.name}: {done.stderr[-2000:]}"
    told = json.loads(done.stdout.splitlines()[-1])
    return Measured(case.name, told["peak"] - told["base"], case.times * case.limit_bytes + ROOM_BYTES, told["said"])


@contextmanager
def _pouring(act: Callable[[Exchange], Awaitable[None]]) -> Iterator[int]:
    """A server in a thread that answers its first request well and every other one so; yields its port."""
    loop, ready, ending = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    port, asked = 0, 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        with contextlib.suppress(Gone, asyncio.CancelledError):
            while (request := await read_request(reader)) is not None:
                x = Exchange(reader, writer, request)
                asked += 1
                if asked == 1:
                    status = 202 if request.method == "POST" else 200
                    await x.reply(status, b'{"next": 0, "responses": [], "known": false}')
                else:
                    await act(x)
                if x.is_over:
                    break
        writer.close()

    async def main() -> None:
        nonlocal port
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        ready.set()
        await ending.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), name="pouring")
    thread.start()
    ready.wait()
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join()
        loop.close()


# -- the process of a case

Twice: TypeAlias = tuple[Callable[[], str], Callable[[], str]]
"""The small thing and the large one; each returns what was said."""


def child() -> None:
    """Do the small thing and the large one; print what was in use before, at most in between, and what was said."""
    what, which, port, folder = sys.argv[1:]
    small, large = CHILDREN[what](which, int(port), Path(folder))
    small()
    base = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    said = large()
    print(json.dumps({"base": base, "peak": _status("VmHWM"), "said": said[-2000:]}))


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def _over_the_wire(ask: Callable[[HttpsGateway], Awaitable[object]], port: int) -> Twice:
    async def asked(count: int) -> str:
        said = ""
        gateway = HttpsGateway(f"http://127.0.0.1:{port}")
        for _ in range(count):
            try:
                said = str(await ask(gateway))
            except GatewayUnavailable as unavailable:
                said = str(unavailable)
        await gateway.close()
        return said

    gc.disable()  # a running process collects what is in cycles once in an hour
    return (lambda: asyncio.run(asked(1))), (lambda: asyncio.run(asked(ASKED_COUNT)))


def _poll(_which: str, port: int, _folder: Path) -> Twice:
    return _over_the_wire(lambda gateway: gateway.poll(0, 0), port)


def _query(_which: str, port: int, _folder: Path) -> Twice:
    return _over_the_wire(lambda gateway: gateway.query("k"), port)


def _send(_which: str, port: int, _folder: Path) -> Twice:
    message = Transmission(
        wire_key="air/acme/k", payload=b"ISA*00*", content_type="text/plain", tenant="acme", mode="air", kind="other",
        channel="edi", function="original", keys="{}", start_by_s=float("inf"), within_s=10.0,
    )  # fmt: skip
    return _over_the_wire(lambda gateway: gateway.send(message), port)


def _typed(folder: Path, *words: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        run([*words, "--data", str(folder / "log"), "--json"])
    return out.getvalue() + err.getvalue()


def _file(folder: Path, *, mib: int, before: bytes = b"", behind: bytes = b"") -> str:
    """A file of so many MiB of zero bytes between others; it takes no room on the disk."""
    path = folder / "large"
    with path.open("wb") as out:
        out.write(before)
        out.seek(mib * MIB, os.SEEK_CUR)
        out.write(behind or b"\0")
    return str(path)


def _message(which: str, _port: int, folder: Path) -> Twice:
    words = [word for name, value in MESSAGE.items() for word in (f"--{name}", value)]
    (folder / "small").write_bytes(b"ISA*00*")
    large = _file(folder, mib=int(which))
    return lambda: _typed(folder, "publish", str(folder / "small"), *words), lambda: _typed(folder, "publish", large, *words)


def _line(which: str, _port: int, folder: Path) -> Twice:
    good = json.dumps({**MESSAGE, "payload": "ISA*00*"}).encode() + b"\n"
    (folder / "small").write_bytes(good)
    large = _file(folder, mib=int(which), before=good, behind=b"\n" + good)
    return (
        lambda: _typed(folder, "publish", "--batch", str(folder / "small")),
        lambda: _typed(folder, "publish", "--batch", large),
    )


def _nonsense(which: str, _port: int, folder: Path) -> Twice:
    (folder / "small").write_bytes(b"x\n")
    (folder / "large").write_bytes(b"x\n" * int(which) * 1_000_000)
    return (
        lambda: _typed(folder, "publish", "--batch", str(folder / "small")),
        lambda: _typed(folder, "publish", "--batch", str(folder / "large")),
    )


def _notice(which: str, _port: int, folder: Path) -> Twice:
    (folder / "small").write_bytes(b"no notice\n")
    large = _file(folder, mib=int(which), before=b"TCC25-0001 - EDI\n")
    return lambda: _typed(folder, "bulletin", "add", str(folder / "small")), lambda: _typed(folder, "bulletin", "add", large)


def _publish(which: str, _port: int, folder: Path) -> Twice:
    log = SqliteLog.open(folder, wall_ms)

    def publish(count: int, size_bytes: int) -> str:
        messages = ((parse_attributes(MESSAGE | {"key": f"k{number}"}), bytes(size_bytes)) for number in range(count))
        return f"{len(Publisher(log, clock_ms=wall_ms).publish_many(messages))} receipts"

    return lambda: publish(1, 10), lambda: publish(int(which), PAYLOAD_BYTES_MAX)


def _read(which: str, _port: int, folder: Path) -> Twice:
    log, stream = SqliteLog.open(folder, wall_ms), inbound("air")
    for _ in range(int(which)):
        log.append(stream, [Entry(bytes(ENTRY_BYTES_MAX))])
    return lambda: str(len(log.read(stream, 0, 1, 0.0))), lambda: f"{len(log.read(stream, 0, 10_000, 0.0))} records"


CHILDREN: Final = {
    "poll": _poll, "query": _query, "send": _send, "message": _message, "line": _line, "nonsense": _nonsense,
    "notice": _notice, "publish": _publish, "read": _read,
}  # fmt: skip
