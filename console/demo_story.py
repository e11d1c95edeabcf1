"""The demo's story, INTERFACES section 5: six scenes with the real program and a simulated CBSA, each a process of its own.

Must not know rules: what it tells it reads from the log and from the authority's own history.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from console.demo_day import Day, day
from console.demo_fifo import blast
from console.demo_notices import EDI_DOWN, EDI_RESOLVED, PORTALS_DOWN, PORTALS_RESOLVED
from console.demo_world import World, world

TRIPS: Final = 40
"""Highway trips published while EDI is down."""

OTHERS: Final = 12
"""Trains, flights and voyages published while EDI is down, of each."""

WAIT_S: Final = 40.0
"""Longest wait for one thing of the story; the demo says what it waited for and fails."""

REFUSED_S: Final = 3.0
"""How long CBSA refuses connections before its notice comes."""

KINDS: Final = {
    "release": "releases", "cargo": "cargo", "house_bill": "bills", "conveyance": "trips", "close": "closes",
    "conveyance_arrival": "arrivals", "export_declaration": "exports",
}  # fmt: skip
"""The demo's kinds, with a short word for each."""

SCALE_COUNT: Final = 40
"""Columns of the picture of the drain."""


def tell(console: Console, folder: Path) -> dict[str, Any]:
    """Play the day on a log in that folder; return its figures. Raises TimeoutError that says what it waited for."""
    with world(folder) as running:
        return Story(console, running, day(trips=TRIPS, others=OTHERS)).tell()


class Story:
    """The six scenes, told as they happen."""

    def __init__(self, console: Console, running: World, the_day: Day) -> None:
        self.console = console
        self.world = running
        self.day = the_day
        self.held_peak = 0

    def tell(self) -> dict[str, Any]:
        """Play the day and return its figures."""
        self._morning()
        self._portals_go_down()
        self._edi_goes_down()
        self._resolved()
        confirmed, assumed = self._plain_queue()
        verify = self._proof()
        counts = self.world.counts()
        done = sum(counts[state] for state in ("captured", "filed", "rejected", "parked", "withdrawn", "replaced"))
        published = len(self.day.morning) + len(self.day.portal) + len(self.day.outage)
        return {
            "published": published,
            "captured": counts["captured"],
            "filed": counts["filed"],
            "held_peak": self.held_peak,
            "order_violations": len(self.world.authority.order_violations()),
            "rejected": counts["rejected"],
            "fifo_rejected_confirmed": confirmed,
            "fifo_rejected_assumed": assumed,
            "unaccounted": published - done,
            "verify": verify,
        }

    def _morning(self) -> None:
        self._scene(1, "Everything is up: messages flow")
        self.world.publish(self.day.morning)
        expected = len(self.day.morning)
        self._until(lambda: self.world.counts()["captured"] == expected, "the morning's messages to be captured")
        self._say(f"{expected} messages published and captured by CBSA, each shipment in order.")

    def _portals_go_down(self) -> None:
        self._scene(2, "08:20 ET  CERS and the eManifest portal are unavailable; EDI goes on")
        self.world.bulletin(PORTALS_DOWN)
        self._until(lambda: self.world.state_of("cers", "inbound") == "partial", "the notice to close CERS")
        for task in self.world.tasks():
            self._say(f"[yellow]To the operator:[/] {task}")
        self.world.publish(self.day.portal)
        self._until(lambda: self.world.counts()["held"] == len(self.day.portal), "the portal filings to be held")
        for message in self.world.messages("held"):
            self._say(escape(f"held: {message} - {self.world.why(message)[0].sentence}"))
        self._say(f"EDI is {self.world.state_of('edi', 'inbound')}.")

    def _edi_goes_down(self) -> None:
        self._scene(3, "09:37 ET  CBSA's EDI stops taking messages; the notice comes later")
        before = self.world.bytes_sent()
        self.world.authority.set_channel("edi", inbound="down")
        self.world.authority.close_listener(REFUSED_S)
        first, rest = self.day.outage[:20], self.day.outage[20:]
        self.world.publish(first)
        self._until(lambda: self.world.state_of("edi", "inbound") == "suspect", "refused connections to make the link suspect")
        self._say(
            "Connections are refused without a notice: the link is [yellow]suspect[/]. One probe at a time, nothing parked."
        )
        self.world.bulletin(EDI_DOWN)
        self._until(lambda: self.world.state_of("edi", "inbound") == "down", "the notice to close EDI")
        self._say("09:40 ET  TCC25-9133 says it: EDI inbound is [red]down[/]. Everything is held; providers go on publishing.")
        self.world.publish(rest)
        held = len(self.day.outage) + len(self.day.portal)
        self._until(lambda: self.world.counts()["held"] == held, "the outage's messages to be held")
        self.held_peak = held
        self._table_of_held()
        self._until(self.world.authority.is_reachable, "CBSA to take connections again")
        self._say(f"Bytes of messages sent to CBSA since it stopped taking them: {self.world.bytes_sent() - before}.")

    def _resolved(self) -> None:
        self._scene(4, "15:10 ET  Resolved: the drain, each step waiting for CBSA's acceptance")
        self.world.authority.set_channel("edi", inbound="up")
        started = time.monotonic()
        self.world.bulletin(EDI_RESOLVED)
        total = len(self.day.outage)
        base = len(self.day.morning)
        columns = (TextColumn("{task.description}"), BarColumn(40), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self.console, transient=False) as progress:
            bar = progress.add_task("captured", total=total)

            def drained() -> bool:
                counts = self.world.counts()
                progress.update(bar, completed=counts["captured"] - base)
                return counts["captured"] + counts["rejected"] + counts["parked"] >= base + total

            self._until(drained, "the drain to end")
        took_s = time.monotonic() - started
        self._table_of_waves(total)
        self._say(
            f"{total} messages drained in {took_s:.1f} s; out of order by CBSA's own history: "
            f"{len(self.world.authority.order_violations())}."
        )
        self.world.bulletin(PORTALS_RESOLVED)
        self._until(lambda: len(self.world.to_file()) == len(self.day.portal), "the portals to open")
        for number, message in enumerate(self.world.to_file(), start=1):
            self.world.file_by_hand(message, reference=f"PORTAL-{number:04}")
        self._until(lambda: self.world.counts()["filed"] == len(self.day.portal), "the clerk's filings")
        self._say(f"The portals are open again: the clerk's work list had {len(self.day.portal)} filings, all done by hand.")

    def _plain_queue(self) -> tuple[int, int]:
        self._scene(5, "The same messages through a plain first-in-first-out queue")
        confirmed, assumed = blast([*self.day.morning, *self.day.outage])
        self._say(
            f"A second CBSA, the same bytes, no rules: [red]{confirmed}[/] rejects that CBSA's own words confirm, {assumed} more "
            f"assumed. Through Tidegate: {self.world.counts()['rejected']}."
        )
        return confirmed, assumed

    def _proof(self) -> str:
        self._scene(6, "The story of one message, and the integrity check")
        message = self.world.last_of("conveyance")
        for line in self.world.story(message):
            self._say(escape(line))
        report = self.world.verify()
        for check in report.checks:
            colour, word = ("green", "ok") if check.ok else ("red", "FAILED")
            self._say(f"[{colour}]{word:>6}[/]  {escape(check.title)} ({check.count:,})")
        return "ok" if report.ok else "failed"

    def _table_of_held(self) -> None:
        table = Table("mode", *KINDS.values(), "held", box=None, header_style="bold", padding=(0, 1))
        for mode, messages in self.world.by_mode("held").items():
            counts = [sum(1 for message in messages if message.kind == kind) for kind in KINDS]
            table.add_row(mode, *(str(count or "") for count in counts), str(len(messages)))
        self.console.print(table)

    def _table_of_waves(self, count: int) -> None:
        """When each kind was captured, over the drain from first to last: from CBSA's own history."""
        rows = [row for row in self.world.authority.history() if row["outcome"] == "captured"][-count:]
        table = Table("", "captured", "first                            to last", box=None, header_style="bold", padding=(0, 1))
        for kind, word in KINDS.items():
            cells = {number * SCALE_COUNT // len(rows) for number, row in enumerate(rows) if row["kind"] == kind}
            if cells:
                captured = sum(1 for row in rows if row["kind"] == kind)
                table.add_row(word, str(captured), "".join("█" if cell in cells else "·" for cell in range(SCALE_COUNT)))
        self.console.print(table)

    def _until(self, reached: Callable[[], bool], what: str) -> None:
        """Wait for something to become true. Raises TimeoutError that says what it waited for."""
        deadline = time.monotonic() + WAIT_S
        while True:
            self.world.refresh()
            if reached():
                return
            self.world.check_alive()
            if time.monotonic() > deadline:
                raise TimeoutError(f"The demo waited {WAIT_S:.0f} s for {what} in vain; counts: {dict(self.world.counts())}.")
            time.sleep(0.05)

    def _scene(self, number: int, title: str) -> None:
        self.console.print()
        self.console.rule(f"[bold]{number}  {title}", align="left")

    def _say(self, text: str) -> None:
        self.console.print(Padding(text, (0, 0, 0, 2), expand=False))
