"""`tidegate publish`: from a file to receipts; must not know what becomes of a message afterwards."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

import typer

from console.options import AsJson, Bootstrap, DataDir, PersonUnkept, ReasonUnkept
from console.output import ROWS_MAX, Exit, Stop, command, counted, table

if TYPE_CHECKING:
    from console.session import Session
    from producers.batches import Line
    from producers.door import Refusal
    from producers.publisher import Message, Receipt

WAIT_S_MAX: Final = 3_600.0
"""Longest wait for verdicts: an hour; intake takes milliseconds, and a wait without end would hide that it does not run."""

PROGRESS_COUNT: Final = 5_000
"""Lines between two words of progress: one full batch of the log."""

REFUSED_COUNT_MAX: Final = 10_000
"""Most lines of one file that are turned away before the rest is left: a file of nonsense is no batch, and each is kept until all
are told."""

NOT_ACCEPTED: Final = ("conflict", "refused", "parked")
"""Verdicts of which the sender has to know more than the word."""

_HELP: Final = """Publish messages; prints the receipts. A receipt means durable.

\b
tidegate publish trip.edi --mode highway --kind conveyance --tenant acme \\
    --key acme-000123 --keys '{"crn": ["ABCD0001"], "ccn": ["ABCD111"]}'
tidegate publish --batch day.jsonl --wait 10
zcat day.jsonl.gz | tidegate publish --batch - --json"""


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("publish", help=_HELP)(publish)


def publish(
    *,
    file: Annotated[str | None, typer.Argument(help="The raw message; - is standard input.")] = None,
    batch: Annotated[
        str | None, typer.Option("--batch", metavar="FILE.jsonl", help="One message a line; - is standard input.")
    ] = None,
    mode: Annotated[str | None, typer.Option("--mode", help="highway, rail, air, marine, export, accounting.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="cargo, conveyance, house_bill, close, release ...")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Whose message it is.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Your own key, unique per tenant and mode.")] = None,
    channel: Annotated[
        str | None, typer.Option("--channel", help="edi (default), cig, swi, cad_api, emanifest_portal ...")
    ] = None,
    function: Annotated[str | None, typer.Option("--function", help="original (default), change, cancel.")] = None,
    keys: Annotated[str | None, typer.Option("--keys", metavar="JSON", help='Document keys: {"ccn": ["ABCD111"]}.')] = None,
    content_type: Annotated[
        str | None, typer.Option("--content-type", help="Of the bytes; default application/octet-stream.")
    ] = None,
    inland: Annotated[bool, typer.Option("--inland", help="Goods move in bond to an inland office.")] = False,
    replaces: Annotated[str | None, typer.Option("--replaces", metavar="KEY", help="Takes the place of that message.")] = None,
    corrects: Annotated[
        str | None, typer.Option("--corrects", metavar="KEY", help="Corrects that rejected or parked one.")
    ] = None,
    eta: Annotated[str | None, typer.Option("--eta", metavar="TIME", help="RFC 3339 with an offset.")] = None,
    not_before: Annotated[str | None, typer.Option("--not-before", metavar="TIME", help="Not to be sent before.")] = None,
    not_after: Annotated[str | None, typer.Option("--not-after", metavar="TIME", help="Stale after it.")] = None,
    occurred_at: Annotated[str | None, typer.Option("--occurred-at", metavar="TIME", help="When an arrival happened.")] = None,
    wait_s: Annotated[float, typer.Option("--wait", metavar="S", min=0, max=WAIT_S_MAX, help="Wait so long for verdicts.")] = 0.0,
    person: PersonUnkept = None,
    reason: ReasonUnkept = None,
    as_json: AsJson = False,
    data: DataDir = None,
    kafka: Bootstrap = None,
) -> int:
    """Publish a file, or a file of messages."""
    from console.session import door

    del person, reason  # a message names its own source; the receipt is the record (R10)
    given = {
        "mode": mode, "kind": kind, "tenant": tenant, "key": key, "channel": channel, "function": function, "keys": keys,
        "content_type": content_type, "inland": inland or None, "replaces": replaces, "corrects": corrects, "eta": eta,
        "not_before": not_before, "not_after": not_after, "occurred_at": occurred_at,
    }  # fmt: skip
    fields = {name: value for name, value in given.items() if value is not None}
    if (file is None) == (batch is None):
        raise Stop(Exit.USAGE, "give one of FILE (one raw message) and --batch FILE.jsonl")
    if batch is not None and fields:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in fields)
        raise Stop(Exit.USAGE, f"with --batch each line says its own {named}; leave the option out")
    if file is not None:
        _check_words(fields)
    source = batch if batch is not None else file
    assert source is not None
    with reading(source) as raw, door(as_json=as_json, data=data, kafka=kafka) as on:
        lines = _lines(raw) if batch is not None else iter([_one(raw, fields)])
        done = Publishing(on, door="batch" if batch is not None else "cli").publish(lines)
        return _report(on, done, name=None if file is None else "the message" if file == "-" else file, wait_s=wait_s)


@contextmanager
def reading(name: str) -> Iterator[BinaryIO]:
    """An input file, or standard input for `-`. Raises Stop when it can't be read."""
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        opened_file = Path(name).open("rb")  # noqa: SIM115 - closed below; only opening it is a user's mistake
    except OSError as exc:
        raise Stop(Exit.USAGE, f"{name} can't be read ({exc.strerror}); name a file, or - for standard input") from exc
    with opened_file:
        try:
            opened_file.peek(1)
        except OSError as exc:
            raise Stop(Exit.USAGE, f"{name} can't be read ({exc.strerror}); name a file, or - for standard input") from exc
        yield opened_file


def _check_words(fields: dict[str, Any]) -> None:
    """Refuse options that are no words of INTERFACES section 2, and complete `keys`. Raises Stop."""
    from schemas.messages import CHANNELS, FUNCTIONS, KINDS, strict_json
    from schemas.streams import MODES

    missing = [f"--{name}" for name in ("mode", "kind", "tenant", "key") if name not in fields]
    if missing:
        raise Stop(Exit.USAGE, f"a single message needs {', '.join(missing)} too; see tidegate publish --help")
    for name, words in (("mode", MODES), ("kind", KINDS), ("channel", CHANNELS), ("function", FUNCTIONS)):
        if name in fields and fields[name] not in words:
            raise Stop(Exit.USAGE, f"there is no {name} {fields[name]}; use one of {', '.join(words)}")
    try:
        fields["keys"] = strict_json(fields.get("keys", "{}"))
    except ValueError as exc:
        raise Stop(Exit.USAGE, f"""--keys is not JSON ({exc}); write it like '{{"ccn": ["ABCD111"]}}'""") from exc


def _lines(raw: BinaryIO) -> Iterator["Line"]:
    from producers.batches import read_batch

    return read_batch(raw)


def _one(raw: BinaryIO, fields: dict[str, Any]) -> "Line":
    """A raw file and its options as one line: the message, or what to mend."""
    from hashlib import sha256

    from producers.batches import Line
    from producers.publisher import Message, check_publishable
    from schemas.messages import PAYLOAD_BYTES_MAX, MessageUnreadable, parse_attributes

    payload = raw.read(PAYLOAD_BYTES_MAX + 1)
    digest = sha256(payload)
    while more := raw.read(PAYLOAD_BYTES_MAX):
        digest.update(more)
    said: Message | MessageUnreadable
    try:
        said = Message(parse_attributes(fields), payload)
        check_publishable(said.attributes, payload)
    except MessageUnreadable as exc:
        said = exc
    return Line(1, digest.hexdigest(), said)


class Publishing:
    """One run of publishing: what got a receipt, what was turned away, and what stopped it before its end."""

    def __init__(self, on: "Session", *, door: str) -> None:
        self._on = on
        self._door = door
        self.receipts: list[Receipt] = []
        self.refused: list[tuple[int, Refusal]] = []
        self.stale: list[tuple[int, str]] = []
        self.stopped = ""

    def publish(self, lines: Iterator["Line"]) -> "Publishing":
        """Publish what is readable, write down what is not (R2)."""
        from console.clock import wall_ms
        from eventlog.port import LogError
        from producers.door import refuse
        from producers.publisher import Publisher, PublishError

        log = self._on.opened.log
        try:
            self.receipts = Publisher(log, clock_ms=wall_ms).publish_many(self._readable(lines))
        except PublishError as error:
            self.receipts = list(error.receipts)
            self.stopped = str(error)
        if self.refused:
            try:
                refuse(log, [each for _, each in self.refused], door=self._door, at_ms=wall_ms())
            except LogError as error:
                self.stopped = self.stopped or f"what was turned away could not be written down ({error}); publish the file again"
        return self

    def _readable(self, lines: Iterator["Line"]) -> Iterator["Message"]:
        from console.clock import wall_ms
        from producers.door import Refusal
        from schemas.messages import MessageUnreadable, to_ms

        for line in lines:
            if line.number % PROGRESS_COUNT == 0:
                self._on.out.say(f"{line.number:,} lines read")
            if isinstance(line.said, MessageUnreadable):
                self.refused.append((line.number, Refusal(line.said, line.sha256)))
                if len(self.refused) == REFUSED_COUNT_MAX:
                    self.stopped = f"{REFUSED_COUNT_MAX:,} lines were turned away up to line {line.number:,}; mend the file first"
                    return
            else:
                until = line.said.attributes.not_after
                if until is not None and to_ms(until) < wall_ms():
                    self.stale.append((line.number, until.isoformat()))
                yield line.said


def _report(on: "Session", done: Publishing, *, name: str | None, wait_s: float) -> int:
    """Print the receipts and what was turned away; the exit code. `name`: of the file, when it is one message alone."""
    receipts, reasons = _with_verdicts(on, done.receipts, wait_s=wait_s) if wait_s else (done.receipts, {})
    on.out.result([receipt.as_json() for receipt in receipts], lambda: _shown(receipts))
    for number, refusal in done.refused:
        if on.out.as_json:
            on.out.say(json.dumps({"line": number, "code": refusal.why.code, "reason": str(refusal.why)}))
        else:
            on.out.say(f"{name or f'line {number}'}: {refusal.why.code}: {refusal.why}")
    _warn_of_stale(on, done.stale, name=name)
    turned = [receipt for receipt in receipts if receipt.verdict in NOT_ACCEPTED]
    for receipt in turned:
        on.out.say(f"{receipt.mode} {receipt.tenant}/{receipt.key}: {receipt.verdict}: {reasons[receipt.mode, receipt.position]}")
    if wait_s and any(receipt.verdict is None for receipt in receipts):
        on.out.say(f"no verdict within {wait_s:g} s for some; they are durable and wait for intake: does tidegate up run?")
    if done.stopped:
        on.out.say(f"tidegate: stopped before the end: {done.stopped}")
        return int(Exit.PARTLY if receipts else Exit.FAILED)
    if not receipts and not done.refused:
        on.out.say("nothing to publish: the input holds no message")
        return int(Exit.NOTHING)
    if not on.out.as_json:
        for sentence in _what_to_do(turned, at_the_door=len(done.refused)):
            on.out.say(sentence)
    bad = len(done.refused) + len(turned)
    return int(Exit.DONE if not bad else Exit.PARTLY if len(receipts) > len(turned) else Exit.REFUSED)


def _what_to_do(turned: Sequence["Receipt"], *, at_the_door: int) -> Iterator[str]:
    """One sentence for each way of not being accepted: what is to be mended differs, and so does whether the key is free."""
    if at_the_door:
        yield f"{counted(at_the_door, 'message')} turned away at the door, not taken in: mend and publish again"
    count = Counter(receipt.verdict for receipt in turned)
    if count["refused"]:
        yield f"{counted(count['refused'], 'message')} refused, not in the lane, and the key is free: mend and publish again"
    if count["conflict"]:
        yield f"{counted(count['conflict'], 'message')} in conflict with another of the same key: publish under a new key"
    parked = [receipt for receipt in turned if receipt.verdict == "parked"]
    if parked:
        first = command("why", parked[0].key, "--mode", parked[0].mode, "--tenant", parked[0].tenant)
        yield f"{counted(len(parked), 'message')} parked: in the lane until a person acts, do not resend; next: {first}"


def _warn_of_stale(on: "Session", stale: Sequence[tuple[int, str]], *, name: str | None) -> None:
    """Say which messages were past their own `not_after` when they were published: they will be parked, never sent."""
    for number, moment in stale[:ROWS_MAX]:
        on.out.say(f"{name or f'line {number}'}: not_after {moment} is past already; it will be parked as stale and not be sent")
    if len(stale) > ROWS_MAX:
        on.out.say(f"... and {len(stale) - ROWS_MAX:,} more that are past their not_after")


def _with_verdicts(
    on: "Session", receipts: list["Receipt"], *, wait_s: float
) -> tuple[list["Receipt"], dict[tuple[str, int], str]]:
    """The receipts with the verdicts that came within the wait, and the verdicts' sentences by mode and position."""
    from producers.verdicts import wait_for_verdicts

    deadline_s = time.monotonic() + wait_s
    known: dict[tuple[str, int], Any] = {}
    for mode in dict.fromkeys(receipt.mode for receipt in receipts):
        view = on.opened.folds.lane(mode)
        positions = [receipt.position for receipt in receipts if receipt.mode == mode]
        left_s = max(0.0, deadline_s - time.monotonic())
        verdicts = wait_for_verdicts(on.opened.log, view, mode=mode, positions=positions, wait_s=left_s)
        known |= {(mode, position): verdict for position, verdict in verdicts.items()}
    made = []
    for receipt in receipts:
        verdict = known.get((receipt.mode, receipt.position))
        made.append(replace(receipt, verdict=verdict.verdict) if verdict is not None else receipt)
    return made, {name: verdict.reason for name, verdict in known.items()}


def _shown(receipts: Sequence["Receipt"]) -> Iterator[Any]:
    durable = [each for each in receipts if each.verdict not in ("conflict", "refused")]
    if durable:
        yield f"{counted(len(durable), 'receipt')}: durable, do not resend."
    if receipts:
        yield table(
            ("lane", "position", "tenant", "key", "received", "sha256", "verdict"),
            (
                (each.mode, each.position, each.tenant, each.key, each.received_at, each.sha256[:12], each.verdict or "")
                for each in receipts[:ROWS_MAX]
            ),
        )
    if len(receipts) > ROWS_MAX:
        yield f"... and {len(receipts) - ROWS_MAX:,} more; --json lists them all."
    if durable:
        yield f"next: {command('why', durable[0].key, '--mode', durable[0].mode, '--tenant', durable[0].tenant)}"
