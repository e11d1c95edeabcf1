"""The process's own pages: what they say, when they say no, and what a look at them costs."""

import asyncio
import importlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry

from console.cli import run
from console.driver import Driver
from console.health import Address, pages, read_address, readiness
from console.metered import Meters
from console.metrics import FoldCollector, text_of
from console.output import Stop
from console.watching import LOG_SILENT_S, Watching
from consumers.responses import ResponsesView
from eventlog.memory import MemoryLog
from eventlog.port import LogUnavailable
from lane import fold
from lane.census import census_of
from lane.view import DeskView, LaneView
from schemas.codec import Codec, encode
from schemas.effects import Sleep, Worker
from schemas.facts import MessageReceived, OutageResolved
from schemas.streams import DESK, MODES, RESPONSES, Entry, lane
from tests.unit.lane_story import Story

DOCS = Path(__file__).resolve().parents[2] / "docs"
WORKERS = ("intake", "availability", "responses", "runner")
SCRAPE_S_MAX = 0.02
"""Issue 4: a scrape costs less with 100,000 messages held."""


class Town:
    """Folds over a memory log, watched as a process watches its own."""

    def __init__(self) -> None:
        self.log = MemoryLog(lambda: 0)
        self.watching = Watching(self.log, WORKERS)
        decode = Codec().decode
        self.lanes: dict[str, LaneView] = {mode: LaneView(mode, decode, self.watching.listener(lane(mode))) for mode in MODES}
        self.desk = DeskView(decode, self.watching.listener(DESK))
        responses = ResponsesView(self.lanes, self.desk)
        views: dict[str, Any] = {lane(mode): view for mode, view in self.lanes.items()} | {DESK: self.desk, RESPONSES: responses}
        self.watching.begins(views)
        self.driver = Driver(self.log, None, views)
        self.registry = CollectorRegistry(auto_describe=False)
        self.meters = Meters(self.registry)
        self.registry.register(FoldCollector(self.watching))

    def tell(self, story: Story) -> None:
        """Fold what a story has said into its lane."""
        for _, fact in story.log[self.lanes[story.state.mode].next_position :]:
            self.log.append(lane(story.state.mode), [Entry(encode(fact))])
        view = self.lanes[story.state.mode]
        view.absorb(self.log.read(lane(story.state.mode), view.next_position, 10_000, 0))

    async def work(self) -> None:
        """All is read, and the process has looked once."""
        self.watching.works(self.driver)
        await self.watching.ask_ends()

    def figures(self) -> dict[tuple[str, ...], float]:
        """What a scrape gives, by name and label values."""
        families = text_string_to_metric_families(text_of(self.registry).decode())
        return {(each.name, *dict(sorted(each.labels.items())).values()): each.value for one in families for each in one.samples}


def _story() -> Story:
    """Two cargos at CBSA, one of them captured; one held; one rejected."""
    story = Story()
    for name in ("A", "B", "C", "D"):
        story.cargo(name)
    story.take_lane()
    story.done("A")
    story.sent("B")
    story.sent("C")
    story.rejected("C")
    return story


def test_the_figures_are_those_of_the_fold() -> None:
    """Issue 4: counts by lane and channel, the oldest held, answers, epoch; no scan made them."""
    town = Town()
    town.tell(_story())
    asyncio.run(town.work())
    found = town.figures()
    stands = {
        name: found[f"tidegate_{name}_messages", "edi", "highway"] for name in ("held", "in_flight", "captured", "rejected")
    }
    assert {"held": 1, "in_flight": 1, "captured": 1, "rejected": 1} == stands
    assert (1, 1) == tuple(found["tidegate_answers_total", "highway", outcome] for outcome in ("captured", "rejected"))
    assert (1, 0) == (found["tidegate_lease_epoch", "highway"], found["tidegate_lease_held", "highway"])
    assert (0, 1) == (found["tidegate_stream_lag_records", "lane.highway"], found[("tidegate_ready",)])
    assert found["tidegate_oldest_held_seconds", "highway"] > 0


def test_the_census_agrees_with_a_count_whatever_happens() -> None:
    """I5: made in the middle and kept up from there, it is what a new count gives."""
    story = _story()
    census = census_of(story.state)
    story.cargo("E")
    story.intend("D")
    story.concluded("D", "expired")
    story.withdraw("E")
    story.state.census = None
    again = census_of(story.state)
    assert {key: count for key, count in census.counts.items() if count} == again.counts
    assert census.oldest_held() is again.oldest_held() is story["D"]


def test_a_process_is_ready_only_when_it_has_read_what_there_was() -> None:
    """Issue 4: why not, in sentences, in the queue's own words; a standby that has read everything is ready."""
    town, story = Town(), _story()
    town.log.append(lane("highway"), [Entry(encode(fact)) for _, fact in story.log])

    async def look() -> list[str]:
        await town.watching.ask_ends()
        return town.watching.why_not_ready()

    assert [f"it is starting: 0 of {len(story.log)} records are read"] == asyncio.run(look())
    asyncio.run(town.work())
    assert [f"lane.highway is {len(story.log)} records behind"] == asyncio.run(look())
    town.lanes["highway"].absorb(town.log.read(lane("highway"), 0, 1_000, 0))
    assert [] == asyncio.run(look())
    told = {each["lane"]: each for each in readiness(town.watching, [], at_ms=story.at_ms)["lanes"]}
    assert "standing by; runner-1 holds the lane, epoch 1" == told["highway"]["standing"]
    assert "standing by; nobody holds the lane" == told["rail"]["standing"]


def test_a_log_that_does_not_answer_is_told_at_once_and_kills_after_a_minute() -> None:
    """A restart helps nobody while the log is away, so only readiness goes at once; without a log for long it is no use."""
    town = Town()

    async def look() -> tuple[list[str], list[str]]:
        await town.work()
        town.log.end = _away  # type: ignore[method-assign, assignment]
        await town.watching.ask_ends()
        return town.watching.why_not_ready(), town.watching.alive()

    assert (["the log does not answer: the disk is gone"], []) == asyncio.run(look())
    town.watching.answered_s -= LOG_SILENT_S + 1
    town.watching.looked_s = time.monotonic()
    assert asyncio.run(_alive(town))[0].startswith("the log has not answered for 6")


def _away(_stream: str) -> int:
    raise LogUnavailable("the disk is gone")


async def _alive(town: Town) -> list[str]:
    return town.watching.alive()


def test_a_worker_that_ended_by_itself_is_told() -> None:
    """Issue 4: the process lives while its workers do."""
    town = Town()

    async def play() -> list[str]:
        idle = asyncio.create_task(asyncio.sleep(60), name="runner.rail")
        await town.work()
        idle.cancel()
        await asyncio.gather(idle, return_exceptions=True)
        return town.watching.alive()

    assert ["the worker runner.rail has ended"] == asyncio.run(play())


def _ends_when(may_end: Callable[[bool], bool]) -> Worker:
    """A worker that ends when this says so, told whether the process is to stop."""
    turn = yield [Sleep("idle", 0.01)]
    while not may_end(turn.stopping):
        turn = yield [Sleep("idle", 0.01)]


def _fails(stopping: bool) -> bool:
    if stopping:
        raise LogUnavailable("the disk is gone")
    return False


def test_a_process_that_was_told_to_stop_says_so_and_calls_no_worker_dead() -> None:
    """Issue 4: after SIGTERM workers end one by one, in order; the process lives until the last has, and takes no work."""
    town = Town()
    last: list[bool] = []

    async def play() -> tuple[list[str], list[str], str, bool]:
        workers = {"poll": _ends_when(lambda stopping: stopping), "runner.rail": _ends_when(lambda _: bool(last))}
        running = asyncio.create_task(town.driver.run(workers, ready=lambda: town.watching.works(town.driver)))
        while town.watching.phase == "starting":  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.01)
        [poll] = [task for task in asyncio.all_tasks() if task.get_name() == "poll"]
        town.driver.stop()
        await poll
        await town.watching.ask_ends()
        found = town.watching.alive(), town.watching.why_not_ready(), town.watching.phase, running.done()
        last.append(True)
        await running
        return found

    assert ([], ["it is stopping"], "stopping", False) == asyncio.run(play())


def test_a_worker_that_failed_is_told_while_the_others_stop() -> None:
    """Issue 4: that the process stops hides nobody's failure."""
    town = Town()

    async def play() -> list[str]:
        workers = {"poll": _ends_when(lambda stopping: stopping), "runner.rail": _ends_when(_fails)}
        running = asyncio.create_task(town.driver.run(workers, ready=lambda: town.watching.works(town.driver)))
        while town.watching.phase == "starting":  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.01)
        town.driver.stop()
        await asyncio.gather(running, return_exceptions=True)
        return town.watching.alive()

    assert ["the worker runner.rail has ended"] == asyncio.run(play())


def test_the_pages_answer_over_http() -> None:
    """Issue 4: status codes that a probe understands, JSON, and text that Prometheus reads."""
    town = Town()
    town.tell(_story())

    async def get(port: int, path: str) -> tuple[int, str, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        writer.close()
        kind = re.search(r"(?i)content-type: (\S+?);", head)
        return int(head.split()[1]), kind.group(1) if kind else "", body

    async def play() -> list[tuple[int, str, str]]:
        registry = CollectorRegistry(auto_describe=False)
        async with pages(town.watching, registry, Address("127.0.0.1", 0)) as port:
            starting = await get(port, "/readyz")
            await town.work()
            return [starting, *[await get(port, path) for path in ("/readyz", "/healthz", "/metrics", "/")]]

    starting, ready, health, figures, _index = asyncio.run(play())
    assert [503, 200, 200, 200] == [each[0] for each in (starting, ready, health, figures)]
    assert ["application/json", "application/json", "text/plain"] == [each[1] for each in (starting, health, figures)]
    assert (False, True, True) == (
        json.loads(starting[2])["ready"],
        json.loads(ready[2])["ready"],
        json.loads(health[2])["alive"],
    )
    assert 'tidegate_held_messages{channel="edi",lane="highway"} 1.0' in figures[2]
    assert [] == [word for word in ("acme", "A") if re.search(rf'"{word}', figures[2] + ready[2] + health[2])]


def test_a_scrape_with_a_hundred_thousand_held_is_quick() -> None:
    """Issue 4: under 20 ms, for nothing is counted when somebody looks. By the processor's time: the machine has other work."""
    town, story = Town(), Story(drain="operator")
    state = story.state
    town.lanes["highway"].state = state
    story.declare()
    for number in range(100_000):
        story.position += 1
        fold.apply(state, story.position, _cargo(story, number))
    story.position += 1
    fold.apply(state, story.position, _resolved(story))
    assert 100_000 == state.counts["held"]
    asyncio.run(town.work())
    text_of(town.registry)
    took_s = []
    for _ in range(5):
        began_s = time.thread_time()
        text_of(town.registry)
        took_s.append(time.thread_time() - began_s)
    assert min(took_s) < SCRAPE_S_MAX


def test_every_metric_is_on_its_page_and_no_other() -> None:
    """HOUSE 23: docs/metrics.md names each metric, its kind and its labels as the code gives them."""
    town = Town()
    town.tell(_story())
    asyncio.run(town.work())
    given = {each.name + ("_total" if each.type == "counter" else ""): each.type for each in town.registry.collect()}
    rows = re.findall(r"^\| `(tidegate_\w+)` \| (\w+) \|", (DOCS / "metrics.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert given == dict(rows)


def test_names_follow_prometheus_and_labels_are_few() -> None:
    """Issue 4: base units in the name; never a tenant, a key or a document as label."""
    town = Town()
    town.tell(_story())
    asyncio.run(town.work())
    labels = {label for each in town.registry.collect() for sample in each.samples for label in sample.labels}
    assert labels <= {"lane", "channel", "stream", "outcome", "result", "call", "bound", "component", "direction", "le"}


@pytest.mark.parametrize("text", ["0.0.0.0:9464", "example:9464", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000"])
def test_the_pages_stay_at_home_unless_told_plainly(text: str) -> None:
    """No password stands before them: another host is refused, and so is what is no address."""
    with pytest.raises(Stop):
        read_address(text, anywhere=False)


def test_an_address_may_leave_the_host_out() -> None:
    """The loopback address is the default; any other when it is meant."""
    assert [("127.0.0.1", 9464)] * 2 == [read_address(text, anywhere=False) for text in (":9464", "9464")]
    assert ("::1", 9464) == read_address("[::1]:9464", anywhere=False)
    assert ("0.0.0.0", 9464) == read_address("0.0.0.0:9464", anywhere=True)


def test_up_refuses_a_host_that_is_not_home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2 with the flag that would allow it, before anything is begun."""
    words = ["up", "--authority", "http://127.0.0.1:1", "--data", str(tmp_path / "log"), "--health", "0.0.0.0:0"]
    assert 2 == run(words)
    assert "--health-open" in capsys.readouterr().err


def _cargo(story: Story, number: int) -> Any:
    return MessageReceived(
        at_ms=story.at_ms, source=story.source("inbound.highway"), tenant="acme", key=f"k{number}", kind="cargo",
        function="original", channel="edi", document=f"A{number}", keys={"ccn": (f"A{number}",)}, content_type="text/plain",
        attributes_sha256="a", size_bytes=1, received_ms=story.at_ms, sha256="0" * 64,
    )  # fmt: skip


def _resolved(story: Story) -> Any:
    return OutageResolved(
        at_ms=story.at_ms, source=story.source("desk"), incident="TCC1", title="t", received_ms=story.at_ms,
        resolved_ms=story.at_ms,
    )  # fmt: skip


def test_every_limit_on_its_page_is_that_of_the_code() -> None:
    """I12, HOUSE 17: docs/limits.md gives each bound's value as the constant in the module that it names has it."""
    row = re.compile(r"^\| `(\w+)` \| ([\d.,]+) \| [^|]+ \| [^|]+ \| `([\w/]+)\.py` \|$", re.MULTILINE)
    said = row.findall((DOCS / "limits.md").read_text(encoding="utf-8"))
    assert len(said) > 30
    modules = {path: importlib.import_module(path.replace("/", ".")) for _, _, path in said}
    assert [(name, float(value.replace(",", ""))) for name, value, _ in said] == [
        (name, float(getattr(modules[path], name))) for name, _, path in said
    ]
