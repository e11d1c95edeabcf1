"""Starts folds from snapshots and takes new ones while workers run; must not decide anything, nor trust what does not fit.

A snapshot is read only by the program that wrote it, to the letter: its name is the SHA-256 of the sources of the fold and of the
facts, so a fold that was mended never goes on from what the unmended one made.
"""

import gc
import marshal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import lane
import schemas
from eventlog.port import EventLog
from eventlog.snapshots import SnapshotFolder
from lane.desk_snapshot import dump_desk, load_desk
from lane.snapshot import FORM, dump, load
from lane.view import DeskView, LaneView, Listener
from schemas.codec import Codec
from schemas.streams import DESK, MODES, RESPONSES
from schemas.streams import lane as lane_stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumers.responses import ResponsesView

UNREADABLE: Final = (ValueError, EOFError, TypeError, KeyError, IndexError, AttributeError)
"""What reading a body raises that is not what its program wrote; nothing of it is gone on with."""

T = TypeVar("T")
StateT = TypeVar("StateT")


def tell_nobody(_: str) -> None:
    """Keep it to oneself."""


class Folds(NamedTuple):
    """Where folds begin: the log, what reads its facts, the snapshots beside it, and who is told why one was passed over.

    A verb that answers tells nobody: its output is its answer, and `tidegate doctor` tells of every snapshot whether it fits.
    """

    log: EventLog
    codec: Codec
    snapshots: SnapshotFolder | None
    passed_over: Callable[[str], None] = tell_nobody

    def lane(self, mode: str, listener: Listener | None = None) -> LaneView:
        """A lane's fold, as far as its newest snapshot has come; the tail is still to be read."""
        return self._resumed(lane_stream(mode), load, lambda state: LaneView(mode, self.codec.decode, listener, state))

    def desk(self, listener: Listener | None = None) -> DeskView:
        """The desk's fold, as far as its newest snapshot has come."""
        decode = self.codec.decode
        return self._resumed(DESK, lambda body: load_desk(body, decode), lambda state: DeskView(decode, listener, state))

    def responses(self, lanes: "Mapping[str, LaneView]", desk: DeskView) -> "ResponsesView":
        """The fold of [responses]; the lanes and the desk have read all that they can."""
        from consumers.responses import ResponsesView, load_responses

        return self._resumed(RESPONSES, load_responses, lambda kept: ResponsesView(lanes, desk, kept))

    def _resumed(self, stream: str, load_body: Callable[[bytes], StateT], view: Callable[[StateT | None], T]) -> T:
        """The view made of the newest snapshot that fits, or of nothing."""
        found = self.snapshots.newest(self.log, stream, passed_over=self.passed_over) if self.snapshots is not None else None
        if found is None:
            return view(None)
        try:
            with no_collection():
                state = load_body(found.body)
        except UNREADABLE as error:
            self.passed_over(f"{stream} at {found.position}: {type(error).__name__}: {error}")
            return view(None)
        return view(state)


def folder_of(folder: Path) -> SnapshotFolder:
    """The snapshots of a folder that this program reads."""
    return SnapshotFolder(folder, program=program())


@cache
def program() -> str:
    """Who can read a snapshot: the sources of what folds, and the Python whose marshal it is."""
    said = sha256(f"{sys.implementation.cache_tag} {marshal.version} {FORM}".encode())
    for room in (lane, schemas):
        for folder in sorted(room.__path__):
            for path in sorted(Path(folder).rglob("*.py")):
                said.update(f"{path.relative_to(folder)} ".encode() + sha256(path.read_bytes()).digest())
    return said.hexdigest()


def dumper(view: "LaneView | DeskView | ResponsesView") -> Callable[[], bytes]:
    """What makes the bytes of a fold's snapshot."""
    if isinstance(view, LaneView):
        return lambda: dump(view.state)
    if isinstance(view, DeskView):
        return lambda: dump_desk(view.state)
    from consumers.responses import dump_responses

    responses = view
    return lambda: dump_responses(responses)


def streams() -> tuple[str, ...]:
    """The streams whose folds are kept."""
    return (*(lane_stream(mode) for mode in MODES), DESK, RESPONSES)


@contextmanager
def no_collection() -> Iterator[None]:
    """Let the garbage collector rest while millions of objects are made that all stay, and never look at them again.

    Without it a load of 600,000 messages takes twice the time; unfrozen, the next collection would walk over all of them.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was:
            gc.enable()


def logged(why: str) -> None:
    """Say in the process's log why a snapshot was passed over."""
    import structlog

    structlog.get_logger("tidegate").warning("snapshot_passed_over", reason=why)
