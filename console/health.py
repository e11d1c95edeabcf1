"""The process's own pages over HTTP: `/healthz`, `/readyz` and `/metrics`; must not show a message, a tenant or a key.

It listens and opens nothing out. It has no password, so it listens on the loopback address unless it is told otherwise plainly.
"""

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.registry import CollectorRegistry

from console.clock import wall_ms
from console.metrics import FoldCollector, text_of
from console.output import Exit, Stop, moment
from console.watching import Watching
from lane.census import census_of
from lane.state import LaneState
from lane.summary import channel_states, drains
from lane.summary import moment as utc_moment

if TYPE_CHECKING:
    from lane.view import LaneView

CLOSE_S: Final = 1.0
"""Longest wait for a page that is being read when the process ends."""

INDEX: Final = """Tidegate: the pages of one process.

/healthz   does it live?
/readyz    does it take work, and if not, why not? lanes, components, drains
/metrics   the same in figures, for Prometheus
"""


class Address(NamedTuple):
    """Where the pages are. Port 0 takes any that is free."""

    host: str
    port: int

    def shown(self, port: int) -> str:
        """The address with the port that was taken, as it stands in a URL."""
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"


def read_address(text: str, *, anywhere: bool) -> Address:
    """HOST:PORT, :PORT or PORT; without a host, the loopback address. Raises Stop."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not (port.isascii() and port.isdigit() and int(port) < 65_536):
        raise Stop(Exit.USAGE, f"--health is HOST:PORT, such as 127.0.0.1:9464; not {text}")
    if not anywhere and not _is_loopback(host):
        sentence = f"--health {text} would show the queue's figures to other machines; if that is meant, add --health-open"
        raise Stop(Exit.USAGE, sentence)
    return Address(host, int(port))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@asynccontextmanager
async def pages(watching: Watching, registry: CollectorRegistry, address: Address) -> AsyncIterator[int]:
    """Serve the pages while the process runs, from its start on; yields the port. Raises Stop where it can't listen."""
    registry.register(FoldCollector(watching))
    app = web.Application()
    page = _Pages(watching, registry)
    app.add_routes(
        [
            web.get("/", page.index), web.get("/healthz", page.healthz), web.get("/readyz", page.readyz),
            web.get("/metrics", page.metrics),
        ]
    )  # fmt: skip
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_S)
    await runner.setup()
    site = web.TCPSite(runner, address.host, address.port)
    looking = asyncio.create_task(watching.look(), name="looking")
    try:
        try:
            await site.start()
        except OSError as error:
            raise Stop(Exit.FAILED, f"--health can't listen on {address.host}:{address.port}: {error.strerror}") from error
        yield int(runner.addresses[0][1])
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await runner.cleanup()


class _Pages:
    def __init__(self, watching: Watching, registry: CollectorRegistry) -> None:
        self._watching = watching
        self._registry = registry

    async def index(self, _request: web.Request) -> web.Response:
        return web.Response(text=INDEX)

    async def healthz(self, _request: web.Request) -> web.Response:
        """200 while the process lives: its loop turns, its workers are there, the log has answered within a minute."""
        wrong = self._watching.alive()
        value = {
            "alive": not wrong, "why_not": wrong, "phase": self._watching.phase, "workers": self._watching.workers,
            "loop_lag_s": round(self._watching.loop_lag_s, 3), "log": self._watching.log_error or "answers",
        }  # fmt: skip
        return _json(value, status=503 if wrong else 200)

    async def readyz(self, _request: web.Request) -> web.Response:
        """200 while the process takes work or stands by for it."""
        wrong = self._watching.why_not_ready()
        return _json(readiness(self._watching, wrong, at_ms=wall_ms()), status=503 if wrong else 200)

    async def metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=text_of(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _json(value: dict[str, Any], *, status: int) -> web.Response:
    return web.json_response(text=_lines(value), status=status)


def _lines(value: dict[str, Any]) -> str:
    """JSON that a person can read with curl: a line for each field, and for each thing in a list of things."""
    said = []
    for name, each in value.items():
        if isinstance(each, list) and each and not isinstance(each[0], str):
            items = ",\n".join(f"    {json.dumps(item, ensure_ascii=False)}" for item in each)
            said.append(f'  "{name}": [\n{items}\n  ]')
        else:
            said.append(f'  "{name}": {json.dumps(each, ensure_ascii=False)}')
    return "{\n" + ",\n".join(said) + "\n}\n"


def readiness(watching: Watching, wrong: list[str], *, at_ms: int) -> dict[str, Any]:
    """What `/readyz` says, in the words of `tidegate status`."""
    lanes = watching.lanes()
    states = [view.state for view in lanes.values()]
    return {
        "ready": not wrong,
        "why_not": wrong,
        "phase": watching.phase,
        "at": moment(at_ms),
        "workers": list(watching.names),
        "lanes": [_lane(watching, view) for view in lanes.values()],
        "channels": [each for each in channel_states(states, at_ms) if each["state"] != "up"] if states else [],
        "drains": drains(states, at_ms),
        "behind": {stream: watching.lag(stream) for stream in watching.behind()},
    }


def _lane(watching: Watching, view: "LaneView") -> dict[str, Any]:
    state, counts = view.state, view.state.counts
    oldest = census_of(state).oldest_held()
    return {
        "lane": state.mode, "held": counts["held"], "in_flight": counts["granted"] + counts["transmitted"],
        "captured": counts["captured"] + counts["filed"], "rejected": counts["rejected"], "unknown": counts["unknown"],
        "parked": counts["parked"], "oldest_held_at": utc_moment(oldest.received_ms if oldest else None),
        "standing": _standing(watching, state),
    }  # fmt: skip


def _standing(watching: Watching, state: LaneState) -> str:
    """Who sends in this lane, and what this process is to it, in words."""
    lease = state.lease
    if "runner" not in watching.names:
        return "no sender in this process"
    if lease.released:
        return "standing by; nobody holds the lane"
    if watching.holds(lease.holder):
        return f"holds the lane, epoch {lease.epoch}"
    return f"standing by; {lease.holder} holds the lane, epoch {lease.epoch}"
