"""Publishing messages into the log and giving receipts for them; must not know what becomes of a message afterwards.

A receipt means durable. Errors, each answering "retry, hold or refuse?":

    PublishError        its `receipts` are those of messages that were durable before it
    ├── PublishUnknown  written or not: publishing again with the same key is safe (I1c)
    ├── PublishNotDone  nothing of this batch was written: publish again
    └── PublishRefused  the message itself can't be taken: mend it; its `refusal` says what

`LogRegressed` and `LogUnfit` pass through: stop and call a person.
"""

import asyncio
import functools
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from eventlog.port import BATCH_COUNT_MAX, AppendAmbiguous, AppendNotDone, EntryTooLarge, EventLog, LogUnavailable
from schemas.cloudevents import to_headers
from schemas.messages import Attributes, MessageUnreadable, check_payload, from_ms
from schemas.streams import Entry, inbound

BATCH_BYTES_MAX: Final = 16 * 1024 * 1024
"""Most payload bytes of one append, passed by at most one message: bounds memory, and three of the largest payloads fit."""


class Message(NamedTuple):
    """A message to publish: what is said of it and its bytes as they are."""

    attributes: Attributes
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A message is durable in [inbound.MODE] at `position`. `received_at`: the log's own time, RFC 3339 UTC.

    `sha256` is of the payload. `verdict` (accepted, duplicate, conflict, refused, parked) is None unless it was waited for.
    """

    tenant: str
    key: str
    mode: str
    position: int
    sha256: str
    received_at: str
    verdict: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The receipt as `tidegate publish --json` prints it (INTERFACES section 1)."""
        return {
            "tenant": self.tenant,
            "key": self.key,
            "position": self.position,
            "sha256": self.sha256,
            "received_at": self.received_at,
            "verdict": self.verdict,
        }


class PublishError(Exception):
    """Not every message got its receipt; `receipts` holds those that were durable before, in the order of publishing."""

    def __init__(self, sentence: str, receipts: Iterable[Receipt] = ()) -> None:
        super().__init__(sentence)
        self.receipts = tuple(receipts)


class PublishUnknown(PublishError):
    """It is not known whether the messages were written; publishing again with the same key is safe."""


class PublishNotDone(PublishError):
    """Nothing of the batch was written; publish again."""


class PublishRefused(PublishError):
    """A message can't be taken as it stands; `refusal` says what to mend. What came before it in the same call is durable."""

    def __init__(self, refusal: MessageUnreadable, receipts: Iterable[Receipt] = ()) -> None:
        super().__init__(f"message {refusal.tenant}/{refusal.key} can't be published: {refusal}", receipts)
        self.refusal = refusal


def check_publishable(attributes: Attributes, payload: bytes) -> None:
    """Refuse now what `publish` would refuse. Raises MessageUnreadable."""
    check_payload(payload, attributes)
    to_headers(attributes, datetime.fromtimestamp(0, UTC))


class Publisher:
    """Publishes into a log. Safe between threads; messages of one call keep their order within a mode."""

    def __init__(self, log: EventLog, *, clock_ms: Callable[[], int]) -> None:
        """`clock_ms`: Unix milliseconds, stamped as `ce_time`; it decides nothing."""
        self._log = log
        self._clock_ms = clock_ms

    def publish(self, attributes: Attributes, payload: bytes) -> Receipt:
        """Write one message and return its receipt. Raises PublishUnknown, PublishNotDone or PublishRefused."""
        (receipt,) = self.publish_many([(attributes, payload)])
        return receipt

    def publish_many(self, messages: Iterable[tuple[Attributes, bytes]]) -> list[Receipt]:
        """Write messages in batches and return their receipts in the order given.

        One batch per mode is open at a time, written when it is full. Raises PublishUnknown, PublishNotDone or PublishRefused; a
        refused message lets those before it be written first, and none behind it.
        """
        receipts: dict[int, Receipt] = {}
        batches: dict[str, _Batch] = {}
        refused: MessageUnreadable | None = None
        for number, (attributes, payload) in enumerate(messages):
            try:
                entry = self._entry(attributes, payload)
            except MessageUnreadable as exc:
                refused = exc
                break
            batch = batches.get(attributes.mode) or batches.setdefault(attributes.mode, _Batch())
            batch.add(number, attributes, entry=entry)
            if batch.is_full():
                self._write(batches.pop(attributes.mode), receipts)
        for batch in batches.values():
            self._write(batch, receipts)
        done = _in_order(receipts)
        if refused is not None:
            raise PublishRefused(refused, done) from refused
        return done

    async def publish_async(self, attributes: Attributes, payload: bytes) -> Receipt:
        """`publish`, in a thread. A cancelled wait leaves it unknown: publishing again with the same key is safe."""
        return await asyncio.to_thread(self.publish, attributes, payload)

    async def publish_many_async(self, messages: Iterable[tuple[Attributes, bytes]]) -> list[Receipt]:
        """`publish_many`, in a thread, where the iterable is consumed too."""
        return await asyncio.to_thread(self.publish_many, messages)

    def _entry(self, attributes: Attributes, payload: bytes) -> Entry:
        check_payload(payload, attributes)
        published_at = datetime.fromtimestamp(self._clock_ms() / 1000, UTC)
        return Entry(value=payload, headers=to_headers(attributes, published_at))

    def _write(self, batch: "_Batch", receipts: dict[int, Receipt]) -> None:
        """Append a batch and add its receipts. What is raised carries those of the batches before it."""
        first = batch.attributes[0]
        said_at = functools.cache(from_ms)  # a batch has one time or a few
        stream, named = inbound(first.mode), f"{first.tenant}/{first.key}"
        if len(batch.entries) > 1:
            named += f" and {len(batch.entries) - 1:,} more"
        try:
            appended = self._log.append(stream, batch.entries)
        except AppendAmbiguous as exc:
            raise PublishUnknown(
                f"it is not known whether {named} was written to {stream} ({exc}); publishing again with the same key is safe",
                _in_order(receipts),
            ) from exc
        except (AppendNotDone, LogUnavailable) as exc:
            raise PublishNotDone(f"{named} was not written to {stream} ({exc}); publish again", _in_order(receipts)) from exc
        except EntryTooLarge as exc:
            refusal = MessageUnreadable("too_large", str(exc), tenant=first.tenant, key=first.key)
            raise PublishRefused(refusal, _in_order(receipts)) from exc
        written = zip(batch.numbers, batch.attributes, batch.entries, appended, appended.at_ms, strict=True)
        for number, attributes, entry, position, at_ms in written:
            receipts[number] = Receipt(
                tenant=attributes.tenant,
                key=attributes.key,
                mode=attributes.mode,
                position=position,
                sha256=hashlib.sha256(entry.value).hexdigest(),
                received_at=said_at(at_ms),
            )


class _Batch:
    """Messages of one mode on their way into one append, each with its place in the call."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.attributes: list[Attributes] = []
        self.entries: list[Entry] = []
        self._size_bytes = 0

    def add(self, number: int, attributes: Attributes, *, entry: Entry) -> None:
        self.numbers.append(number)
        self.attributes.append(attributes)
        self.entries.append(entry)
        self._size_bytes += len(entry.value)

    def is_full(self) -> bool:
        return len(self.entries) >= BATCH_COUNT_MAX or self._size_bytes >= BATCH_BYTES_MAX


def _in_order(receipts: dict[int, Receipt]) -> list[Receipt]:
    return [receipts[number] for number in sorted(receipts)]
