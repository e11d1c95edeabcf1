"""Snapshots of folds as files of one folder: a cache beside the log, never part of it; must not know what a body means.

A file is a line of JSON, the header, and the body. It fits when the same program wrote it, the log's own record at its position
is the one that was folded last, and the body has its digest. What does not fit is passed over with a reason, and an older one is
looked at, or none: deleting every file changes nothing but how long a start takes.
"""

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Final, NamedTuple

from eventlog.folders import sync_folder
from eventlog.lane_lock import try_lock
from eventlog.port import EventLog, LogRegressed
from schemas.streams import Record

SUFFIX: Final = ".snapshot"
UNFINISHED: Final = ".unfinished"
LOCK_NAME: Final = "writing.lock"

HEADER_BYTES_MAX: Final = 4_096
"""Longest header: some four hundred bytes; a longer first line is not ours."""

KEPT_COUNT: Final = 2
"""Snapshots kept of a stream for one program: the newest, and one to fall back on if that is damaged."""

FREE_BYTES_MIN: Final = 512 * 1024 * 1024
"""What a snapshot leaves free on its disk: it may be the log's own, and a cache must not be what fills it."""


class NoRoom(OSError):
    """The disk has too little room left for a cache: nothing was written, the log goes on without a snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a snapshot is of. `position`: of the last record folded; `record`: its mark; `program`: who can read the body."""

    stream: str
    position: int
    record: str
    program: str
    made_ms: int
    body_bytes: int
    body_digest: str


class Kept(NamedTuple):
    """A file of the folder; `header` is None where it can't be read."""

    path: Path
    header: Header | None
    size_bytes: int


class Snapshot(NamedTuple):
    """A fold that may be gone on with: the position of the last record in it, when it was made, and its bytes."""

    position: int
    made_ms: int
    body: bytes


def mark_of(record: Record) -> str:
    """What tells a log's record from another log's at the same position: its bytes and the moment when it was written."""
    return sha256(b"%d %d %b %b" % (record.position, record.at_ms, record.key or b"", record.value)).hexdigest()


class SnapshotFolder:
    """The snapshots of one log for one program. Any number of processes may use the folder."""

    def __init__(self, folder: Path, *, program: str) -> None:
        """Name the folder; it is made with the first snapshot. `program` names who can read the bodies."""
        self.folder: Final = folder
        self.program: Final = program

    def newest(self, log: EventLog, stream: str, *, passed_over: Callable[[str], None]) -> Snapshot | None:
        """The newest snapshot that fits, or None; `passed_over` is told why each newer one does not. Raises LogError."""
        for kept in self.kept(stream):
            why = self.misfit(log, kept)
            if not why and kept.header is not None:
                body = _body(kept)
                if body is not None:
                    return Snapshot(kept.header.position, kept.header.made_ms, body)
                why = "its bytes are not those that were written"
            passed_over(f"{kept.path.name}: {why}")
        return None

    def misfit(self, log: EventLog, kept: Kept) -> str:
        """Why a snapshot can't be gone on with, but for its body, which is not read; empty when it can. Raises LogError."""
        header = kept.header
        if header is None:
            return "it is no snapshot, or others may write to it"
        if header.program != self.program:
            return "another version of tidegate or Python wrote it"
        if header.position >= log.end(header.stream):
            return "it is ahead of the log"
        try:
            (record,) = log.fetch(header.stream, [header.position])
        except LogRegressed:
            return "the log has no record at its position"
        return "" if mark_of(record) == header.record else "it was made from another log"

    def kept(self, stream: str) -> list[Kept]:
        """The snapshots of a stream, the furthest first; of any program and log."""
        found = [_kept(path) for path in self._files(stream)]
        return sorted(found, key=lambda each: (-1 if each.header is None else each.header.position, each.path.name), reverse=True)

    def furthest(self, stream: str) -> int:
        """The position of this program's furthest snapshot of a stream, or -1; whether it fits the log is not asked."""
        ours = (each.header.position for each in self.kept(stream) if each.header and each.header.program == self.program)
        return max(ours, default=-1)

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Whether it is this process's turn to write: one at a time on a folder, for each needs memory for a whole fold.

        Raises OSError when the folder can't be made or written.
        """
        self._make_folder()
        handle = try_lock(self.folder / LOCK_NAME)
        try:
            yield handle is not None
        finally:
            if handle is not None:
                os.close(handle)

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(self, record: Record, stream: str, body: bytes, *, made_ms: int) -> Path:
        """Write a snapshot of a fold whose last record is this one, durable before it has its name; remove old ones.

        Raises OSError: NoRoom where the disk is nearly full, or what the disk says.
        """
        header = Header(
            stream=stream, position=record.position, record=mark_of(record), program=self.program, made_ms=made_ms,
            body_bytes=len(body), body_digest=_digest(body),
        )  # fmt: skip
        self._make_folder()
        self._refuse_without_room(len(body))
        path = self.folder / f"{stream}.{record.position:020}.{self.program[:8]}{SUFFIX}"
        unfinished = path.with_name(f"{path.name}.{os.getpid()}{UNFINISHED}")
        try:
            _write(unfinished, json.dumps(asdict(header)).encode() + b"\n", body)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        sync_folder(self.folder)
        self._remove_old(stream)
        return path

    def _refuse_without_room(self, size_bytes: int) -> None:
        disk = os.statvfs(self.folder)
        free = disk.f_bavail * disk.f_frsize
        if free < size_bytes + FREE_BYTES_MIN:
            raise NoRoom(
                f"{self.folder} has {free:,} bytes free; a snapshot of {size_bytes:,} leaves less than {FREE_BYTES_MIN:,}"
            )

    def _remove_old(self, stream: str) -> None:
        """Keep the newest of this program and as many of all others, so that a step back to an older version starts quickly."""
        kept = self.kept(stream)
        ours = [each for each in kept if each.header is not None and each.header.program == self.program]
        others = [each for each in kept if each not in ours]
        for each in (*ours[KEPT_COUNT:], *others[KEPT_COUNT:]):
            each.path.unlink(missing_ok=True)
        for path in self.folder.glob(f"{stream}.*{UNFINISHED}"):
            if not _is_alive(path):
                path.unlink(missing_ok=True)

    def _files(self, stream: str) -> Iterator[Path]:
        return self.folder.glob(f"{stream}.*{SUFFIX}")


def _write(path: Path, head: bytes, body: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb", buffering=0) as file:
        for part in (head, body):
            rest = memoryview(part)
            while rest:
                rest = rest[file.write(rest) :]
        os.fsync(file.fileno())


def _kept(path: Path) -> Kept:
    """Read a file's header. One that somebody else owns or may write to is not believed: bodies are read as they are."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            line = file.readline(HEADER_BYTES_MAX)
    except OSError:
        return Kept(path, None, 0)
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
        return Kept(path, None, status.st_size)
    try:
        header = Header(**json.loads(line))
    except (ValueError, TypeError):
        return Kept(path, None, status.st_size)
    return Kept(path, header, status.st_size)


def _body(kept: Kept) -> bytes | None:
    """The body, if it is the one that was written."""
    try:
        with kept.path.open("rb") as file:
            file.readline(HEADER_BYTES_MAX)
            body = file.read()
    except OSError:
        return None
    header = kept.header
    assert header is not None
    return body if (len(body), _digest(body)) == (header.body_bytes, header.body_digest) else None


def _digest(body: bytes) -> str:
    """BLAKE2b, which is Python's own code: a forked child must not wait for a lock that another thread of OpenSSL's held."""
    return blake2b(body, digest_size=32).hexdigest()


def _is_alive(unfinished: Path) -> bool:
    """Whether the process that names itself in an unfinished file still runs."""
    number = unfinished.name.removesuffix(UNFINISHED).rpartition(".")[2]
    try:
        os.kill(int(number), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
