"""Judges a run on struck brokers when all has come to rest, and counts what it came to; must not know which faults there were."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from console.wiring import lane_view, read_all
from eventlog.port import EventLog
from schemas.streams import inbound
from tests.checker.check import check
from tests.checker.history import Answered, History, Publish
from tests.fault.kafka_provider import MODE, Provider, Word
from tests.fault.kafka_run import Run, Strike
from tests.fault.takeover_run import overlaps
from tests.fault.takeover_watch import at_ms

TOLD_COUNT_MAX: Final = 5
"""Most findings of one kind that are written out; the rest are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a run came to. `written_twice`: raw records beyond the first of a message. `waiting_least`: how few messages CBSA had
    not judged when a strike fell, of all strikes. Silences are the longest in a strike until it went on: of one provider without
    an acknowledgement, and of CBSA without a message from us. `resumed_s`: the slowest going on, from the fault, or from its end
    where nobody can go on before."""

    strikes: int
    bounces: int
    published: int
    captured: int
    lost: int
    doubled: int
    out_of_order: int
    unsure: int
    refused: int
    written_twice: int
    takeovers: int
    waiting_least: int
    publish_silence_s: float
    send_silence_s: float
    resumed_s: float


@dataclass(slots=True)
class Judged:
    """Figures, and every broken promise in a sentence."""

    figures: Figures
    broken: list[str] = field(default_factory=list)


def judge(run: Run) -> Judged:
    """Let everything come to rest, and look at the log, at what clients were told and at CBSA's history."""
    published = run.settle()
    rows = run.watch.look()
    log = run.town.opened.log
    written = records_by_key(log)
    history = History(publishes=publishes(run.providers), taken=list(rows), answered=list(_answered(run)))
    broken = [*run.broken, *map(str, check(log, run.town.opened.codec, history))]
    broken += overlaps(run.town, run.watch, run.policy)
    broken += miscounted(written, {provider.tenant: provider.words for provider in run.providers})
    captured = Counter(row["idempotency_key"] for row in rows if row["outcome"] == "captured")
    words = [word for provider in run.providers for word in provider.words]
    strikes = run.strikes
    figures = Figures(
        strikes=len(strikes),
        bounces=run.bounces,
        published=published,
        captured=len(captured),
        lost=published - len(captured),
        doubled=sum(count > 1 or "~" in key for key, count in captured.items()),
        out_of_order=len(run.town.authority.order_violations()),
        unsure=sum(word.told == "unsure" for word in words),
        refused=sum(word.told == "refused" for word in words),
        written_twice=sum(written.values()) - len(written),
        takeovers=sum(bool(each.granted) for each in run.watch.tenures.values()) - 1,
        waiting_least=min(run.waited, default=0),
        publish_silence_s=_longest(_silence_of_providers(run.providers, each) for each in strikes),
        send_silence_s=_longest(_silence_of_sends(rows, each) for each in strikes),
        resumed_s=_longest(each.resumed_s for each in strikes),
    )
    wrong = {name: getattr(figures, name) for name in ("lost", "doubled", "out_of_order") if getattr(figures, name)}
    if wrong and not broken:
        broken = [f"I1: {wrong}, and the checker found nothing"]
    return Judged(figures, _shortened(broken))


def publishes(providers: Sequence[Provider]) -> list[Publish]:
    """What each provider was told, for the checker."""
    return [
        Publish(mode=MODE, tenant=provider.tenant, key=word.key, sha256=word.sha256, told=word.told, at_s=word.at_s)
        for provider in providers
        for word in provider.words
    ]


def records_by_key(log: EventLog) -> Counter[tuple[str, str]]:
    """How many raw records each message of a tenant has."""
    found: Counter[tuple[str, str]] = Counter()
    for record in read_all(log, inbound(MODE)):
        tenant, key = record.header("ce_tenant"), record.header("ce_id")
        assert tenant is not None
        assert key is not None
        found[tenant.decode(), key.decode()] += 1
    return found


def miscounted(written: Mapping[tuple[str, str], int], words: Mapping[str, Sequence[Word]]) -> Iterator[str]:
    """I1c: each acknowledged publish of a message is one record, each unsure one is none or one, each refused one none."""
    told: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for tenant, heard in words.items():
        for word in heard:
            told[tenant, word.key][word.told] += 1
    for who in {*written, *told}:
        least, count = told[who]["acknowledged"], written.get(who, 0)
        if not least <= count <= least + told[who]["unsure"]:
            yield f"I1c: {'/'.join(who)} stands {count} times in [inbound.{MODE}]; its publishes were told {dict(told[who])}"


def acknowledged_between(words: Sequence[Word], since_s: float, until_s: float) -> list[str]:
    """The keys of publishes that began and were acknowledged in that time: none may be while too few brokers run."""
    return [word.key for word in words if word.told == "acknowledged" and word.began_s >= since_s and word.at_s <= until_s]


def sent_between(rows: Sequence[Mapping[str, Any]], since_ms: int, until_ms: int) -> list[str]:
    """The wire keys of what came in at CBSA in that time: nothing may while nobody can read the log (I2d)."""
    return [row["idempotency_key"] for row in rows if since_ms < at_ms(dict(row)) < until_ms]


def _answered(run: Run) -> Iterator[Answered]:
    """What each provider is told of each message at the end."""
    state = lane_view(run.town.opened, MODE).state
    for provider in run.providers:
        for key in {word.key for word in provider.words}:
            message = state.by_publisher(provider.tenant, key)
            if message is not None:
                yield Answered(mode=MODE, tenant=provider.tenant, key=key, state=message.state)


def _silence_of_providers(providers: Sequence[Provider], strike: Strike) -> float:
    """The longest time that one provider was without an acknowledgement."""
    heard = ([word.at_s for word in provider.words if word.told == "acknowledged"] for provider in providers)
    return max(longest_gap(moments, strike.at.monotonic_s, strike.resumed.monotonic_s) for moments in heard)


def _silence_of_sends(rows: Sequence[dict[str, Any]], strike: Strike) -> float:
    """The longest time that nothing came in at CBSA."""
    return longest_gap([at_ms(row) / 1000 for row in rows], strike.at.wall_ms / 1000, strike.resumed.wall_ms / 1000)


def _longest(times_s: Iterable[float]) -> float:
    return round(max(times_s, default=0.0), 1)


def longest_gap(moments: Sequence[float], first: float, last: float) -> float:
    """The longest time between two neighbours of these moments, of those gaps that reach into the time from `first` to `last`."""
    rising = sorted(moments)
    gaps = [after - before for before, after in itertools.pairwise(rising) if after > first and before < last]
    return max(gaps, default=0.0)


def _shortened(broken: Sequence[str]) -> list[str]:
    """Each kind's first few, and how many more there are."""
    by_kind: dict[str, list[str]] = defaultdict(list)
    for sentence in broken:
        by_kind[sentence.partition(":")[0]].append(sentence)
    out = []
    for kind, sentences in by_kind.items():
        out += sentences[:TOLD_COUNT_MAX]
        if len(sentences) > TOLD_COUNT_MAX:
            out.append(f"{kind}: and {len(sentences) - TOLD_COUNT_MAX} more")
    return out
