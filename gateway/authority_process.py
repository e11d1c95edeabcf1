"""The simulated authority as a process of its own, and the calls that switch and question it; for the demo and for tests."""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

READY_TIMEOUT_S: Final = 20.0
"""An interpreter starts in a second; a busy machine needs some more."""

END_TIMEOUT_S: Final = 10.0
"""What SIGTERM may take before SIGKILL ends it."""

CHECK_TIMEOUT_S: Final = 600.0
"""The order check of a million messages takes ten seconds of a core to itself, a minute on a busy machine."""

HISTORY_PAGE: Final = 50_000
"""Rows of the history fetched at a time: 20 MB."""

ASK_TIMEOUT_S: Final = 70.0
"""Longer than the longest long poll."""

_PROGRAM: Final = """
import json, sys
from pathlib import Path
from gateway.authority import AuthoritySettings, run_authority
given = json.loads(sys.argv[1])
paths = {name: Path(value) for name, value in given.items() if name.endswith("_file") and value is not None}
run_authority("127.0.0.1", int(sys.argv[2]), AuthoritySettings(**{**given, **paths}), on_ready=lambda url: print(url, flush=True))
"""


@dataclass(frozen=True, slots=True)
class AuthorityProcess:
    """A running authority; `base_url` is where the gateway goes, the methods are its admin calls."""

    base_url: str
    process: subprocess.Popen[str]

    def get(self, path: str, *, timeout_s: float = ASK_TIMEOUT_S) -> Any:
        """GET and return the JSON. Raises urllib.error.HTTPError and OSError."""
        with urllib.request.urlopen(self.base_url + path, timeout=timeout_s) as response:
            return json.load(response)

    def put(self, path: str, body: Mapping[str, Any], *, method: str = "PUT") -> Any:
        """PUT (or POST) JSON and return the JSON."""
        request = urllib.request.Request(self.base_url + path, data=json.dumps(body).encode(), method=method)
        with urllib.request.urlopen(request, timeout=ASK_TIMEOUT_S) as response:
            return json.load(response)

    def set_channel(self, name: str, **state: Any) -> Any:
        """Set `inbound`, `outbound` (up, down, delayed) or `delay_s` of a channel; what is left out stays."""
        return self.put(f"/v1/channels/{name}", state)

    def set_faults(self, *faults: Mapping[str, Any], **plan: Any) -> Any:
        """Replace the fault plan (see gateway/authority_faults.py); without arguments, no faults."""
        return self.put("/v1/sim/faults", {**plan, "faults": list(faults)})

    def close_listener(self, for_s: float) -> None:
        """Refuse connections for so long, keeping the state."""
        self.put("/v1/sim/listener", {"listening": False, "for_s": for_s})

    def send_answer(self, **answer: Any) -> None:
        """Put an answer of the test's making among the responses."""
        self.put("/v1/sim/answers", answer, method="POST")

    def is_reachable(self) -> bool:
        """Tell whether connections are taken now."""
        try:
            self.stats()
        except urllib.error.URLError:
            return False
        return True

    def history(self, after: int = 0) -> list[dict[str, Any]]:
        """Return what came in, in order, fetched HISTORY_PAGE at a time."""
        rows: list[dict[str, Any]] = []
        while page := self.get(f"/v1/history?after={after + len(rows)}&limit={HISTORY_PAGE}")["history"]:
            rows += page
            if len(page) < HISTORY_PAGE:
                break
        return rows

    def responses(self, after: int = 0, wait_s: float = 0) -> dict[str, Any]:
        """Return a page of answers."""
        page: dict[str, Any] = self.get(f"/v1/responses?after={after}&wait={wait_s}")
        return page

    def status(self, wire_key: str) -> dict[str, Any]:
        """Return the status query's reply."""
        reply: dict[str, Any] = self.get(f"/v1/messages/{quote(wire_key, safe='')}")
        return reply

    def stats(self) -> dict[str, Any]:
        """Return what was counted."""
        counted: dict[str, Any] = self.get("/v1/sim/stats")
        return counted

    def order_violations(self) -> list[dict[str, Any]]:
        """Return what was captured in the wrong order."""
        found: list[dict[str, Any]] = self.get("/v1/sim/order-violations", timeout_s=CHECK_TIMEOUT_S)["order_violations"]
        return found

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()
        self.process.wait()


@contextmanager
def running_authority(*, port: int = 0, **settings: Any) -> Iterator[AuthorityProcess]:
    """Run an authority on the loopback until the block ends; `settings` are those of AuthoritySettings, paths as text or Path."""
    given = json.dumps({name: str(value) if isinstance(value, Path) else value for name, value in settings.items()})
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, given, str(port)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    try:
        yield AuthorityProcess(_read_ready_line(process), process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _read_ready_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(max(0.0, deadline_s - time.monotonic())):
            raise TimeoutError(f"The authority was not ready within {READY_TIMEOUT_S} seconds.")
    line = process.stdout.readline().strip()
    if not line:
        raise RuntimeError(f"The authority ended with {process.wait()} before it was ready; its standard error says why.")
    return line
