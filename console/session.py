"""Opens the log for one verb and folds what it needs; must not decide anything."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import ValidationError

from console.clock import wall_ms
from console.output import Exit, Output, Stop
from console.settings import DATA_DIR_DEFAULT, Settings
from console.wiring import Opened, found, opened, read_into, write_schemas
from eventlog.sqlite_file import has_log
from lane.state import Finding
from lane.view import DeskView, LaneView, Listener
from schemas.codec import encode
from schemas.facts import ActDenied, DeskFact, Fact, LaneFact
from schemas.messages import sentence_of
from schemas.streams import DESK, MODES, Entry, Record, lane

NAME_CHARS_MAX: Final = 128
"""Longest name of a person, as of a publisher's key."""

REASON_CHARS_MAX: Final = 2_000
"""Longest reason or reference: a paragraph; more belongs in a document that the reason names."""


class Session(NamedTuple):
    """One verb's open log and its mouth."""

    opened: Opened
    out: Output

    def lane(self, mode: str, listener: Listener | None = None) -> LaneView:
        """A lane's fold as of now; `listener` hears what was folded here: the tail behind the snapshot, and what comes."""
        view = self.opened.folds.lane(mode, listener)
        read_into(self.opened.log, lane(mode), view)
        return view

    def lanes(self, mode: str | None) -> dict[str, LaneView]:
        """The folds of the lanes that hold anything, or of the one that is asked for."""
        names = (checked_mode(mode),) if mode else MODES
        return {name: self.lane(name) for name in names if mode or self.opened.log.end(lane(name))}

    def desk(self, listener: Listener | None = None) -> DeskView:
        """The desk's fold as of now; `listener` as for a lane."""
        view = self.opened.folds.desk(listener)
        read_into(self.opened.log, DESK, view)
        return view

    def desk_from_zero(self, listener: Listener) -> DeskView:
        """The desk's fold as of now; `listener` hears every fact that there ever was."""
        view = DeskView(self.opened.codec.decode, listener)
        read_into(self.opened.log, DESK, view)
        return view


@contextmanager
def session(*, as_json: bool, data: Path | None, kafka: str | None) -> Iterator[Session]:
    """Open the log that flags or environment name; it must be there, and a mistyped address makes none.

    Raises Stop for flags that don't fit, and LogError.
    """
    settings = settings_of(data=data, kafka=kafka)
    data_dir = settings.data or DATA_DIR_DEFAULT
    if settings.kafka is None and (not data_dir.exists() or (data_dir.is_dir() and not has_log(data_dir))):
        raise Stop(Exit.FAILED, f"there is no log in {data_dir}: name its folder with --data, or publish something first")
    with found(settings) as log:
        yield Session(log, Output(as_json=as_json))


@contextmanager
def door(*, as_json: bool, data: Path | None, kafka: str | None) -> Iterator[Session]:
    """Open the log as `session` does, for a verb that takes something in: a log that is not there yet begins with it.

    It says so then: in the wrong folder somebody would publish into a log that nothing reads.
    """
    settings, out = settings_of(data=data, kafka=kafka), Output(as_json=as_json)
    data_dir = settings.data or DATA_DIR_DEFAULT
    begins = settings.kafka is None and not has_log(data_dir)
    with opened(settings) as log:
        if begins:
            out.say(f"a new log was begun in {data_dir.absolute()}")
        yield Session(log, out)


def settings_of(*, data: Path | None, kafka: str | None) -> Settings:
    """The environment's settings with the flags over them; a flag for one engine replaces the other of the environment."""
    try:
        return Settings() if data is None and kafka is None else Settings(data=data, kafka=kafka)
    except ValidationError as exc:
        raise Stop(Exit.USAGE, sentence_of(exc)) from exc


def login_name() -> str:
    """Who is at the keyboard; the user's number where the machine has no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def person_of(name: str | None) -> str:
    """The person who acts. Raises Stop for a name that can't stand in a record."""
    return said(name, "--as", chars_max=NAME_CHARS_MAX) if name is not None else login_name()


def said(text: str, option: str, *, chars_max: int = REASON_CHARS_MAX) -> str:
    """A text that a person gave, fit to be written down for ever. Raises Stop."""
    text = text.strip()
    if not text:
        raise Stop(Exit.USAGE, f"{option} is empty; say it in words, it is written down with the act")
    if len(text) > chars_max:
        raise Stop(Exit.USAGE, f"{option} has {len(text):,} characters and the limit is {chars_max:,}; say it shorter")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Stop(Exit.USAGE, f"{option} is not UTF-8; type it again") from None
    return text


def checked_mode(mode: str) -> str:
    """A mode's name. Raises Stop for one that there is not."""
    if mode not in MODES:
        raise Stop(Exit.USAGE, f"there is no mode {mode}; use one of {', '.join(MODES)}")
    return mode


class Heard:
    """Listens to a fold: once `listening`, keeps what the fold said of each fact."""

    def __init__(self) -> None:
        self.listening = False
        self.findings: dict[int, tuple[Finding, ...]] = {}

    def __call__(self, record: Record, _fact: Fact, findings: tuple[Finding, ...]) -> None:
        if self.listening:
            self.findings[record.position] = findings


class Acted(NamedTuple):
    """An act that stands in the log: where, and the finding that says that it had no effect, if it had none."""

    stream: str
    position: int
    void: Finding | None

    @property
    def event(self) -> dict[str, object]:
        """The audit position, for programs."""
        return {"stream": self.stream, "position": self.position}

    def or_stop(self) -> "Acted":
        """This act, if it took effect. Raises Stop with the rule and its sentence: the record of the attempt is the fact."""
        if self.void is None:
            return self
        sentence = f"void at {self.stream} {self.position} ({self.void.rule}): {self.void.sentence}"
        raise Stop(Exit.REFUSED, sentence, rule=self.void.rule, reason=self.void.sentence, event=self.event)


def act(on: Session, fact: LaneFact | DeskFact, *, stream: str, view: LaneView | DeskView, heard: Heard) -> Acted:
    """Append what a person does and learn from the fold whether it took effect. Raises LogError.

    `view` is the fold that the person saw, `heard` its listener. After an ambiguous append the same act again is safe: it names
    what the person saw and is void if the first one was written (R5).
    """
    write_schemas(on.opened.log)
    (position,) = on.opened.log.append(stream, [Entry(encode(fact))])
    heard.listening = True
    read_into(on.opened.log, stream, view)
    voids = (finding for finding in heard.findings[position] if finding.void)
    return Acted(stream, position, next(voids, None))


def deny(opened_log: Opened, *, person: str, act: str, on: str, rule: str, sentence: str, reason: str = "") -> Stop:
    """Write down that a person tried what the rules forbid (I8), and return the error to raise."""
    fields = {"rule": rule, **({"reason": reason} if reason else {})}
    fact = ActDenied(at_ms=wall_ms(), person=person, act=act, object=on, reason=sentence, fields=fields)
    write_schemas(opened_log.log)
    (position,) = opened_log.log.append(DESK, [Entry(encode(fact))])
    return Stop(
        Exit.REFUSED, f"refused ({rule}): {sentence}", rule=rule, reason=sentence, event={"stream": DESK, "position": position}
    )
