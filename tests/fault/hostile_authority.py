"""A hostile CBSA on the loopback: takes, judges and answers by each key's script, with a list of its own; must not know Tidegate.

It runs in a thread of its own. What it keeps is what a run is judged by: what it took (`taken`), what was on the wire
(`attempts`), what it truly said of each key (`said`), and what followed a redirect (`followed`).
"""

import asyncio
import hashlib
import json
import threading
import time
from asyncio import StreamReader, StreamWriter
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import unquote

from tests.checker.history import NEVER_S, Attempt
from tests.fault.hostile_acts import ELSEWHERE, POLLS, POSTS, QUESTIONS
from tests.fault.hostile_scripts import CALM_TOO, LONG_TEXT, PLAIN, Script, plain, script_of, told_of
from tests.fault.hostile_wire import HEAD_BYTES_MAX, Exchange, Gone, Request, read_request

ANSWER_S: Final = 0.05
"""How long an answer takes, as a rule; a reply that never ends is overtaken by it."""

LATE_S: Final = 2.5
"""How late a late answer is: after the question about it, by the run's policy."""

REVERSED_COUNT: Final = 3
"""So many answers are given in reverse."""

REVERSED_WAIT_S: Final = 0.5
"""Longest wait for so many."""

PAGE_COUNT: Final = 500
"""Most answers of a page."""

POLL_WAIT_MAX_S: Final = 10.0
"""Longest poll."""

READY_S: Final = 10.0
"""Longest wait for the thread to listen."""

CLOSED_S: Final = 0.02
"""A hang-up is noticed this late at most: a send that begins by then did not overlap the one before it."""

AT: Final = "2026-11-24T15:00:00.000Z"


@dataclass(slots=True)
class Letter:
    """What the authority knows of one wire key: how often it came, how often it was asked about, its row if it was taken."""

    script: Script
    attempts: int = 0
    asked: int = 0
    row: dict[str, Any] | None = None
    attempt: int | None = None
    is_told: bool = False


@dataclass(slots=True)
class HostileAuthority:
    """The authority. `more`: scripts beside those of the table; `polls`: what befalls polls, the next first.

    A poll script strikes only when the one before it was followed by a good poll, and never while `calm`.
    """

    more: dict[str, Script] = field(default_factory=dict)
    polls: deque[str] = field(default_factory=deque)
    calm: bool = False
    letters: dict[str, Letter] = field(default_factory=dict)
    taken: list[dict[str, Any]] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    said: dict[str, set[str]] = field(default_factory=dict)
    arrived_s: dict[str, float] = field(default_factory=dict)
    """When each wire key came first, Unix seconds."""
    followed: list[str] = field(default_factory=list)
    befell: Counter[str] = field(default_factory=Counter)
    """How often each act was played, by `post NAME`, `ask NAME` and `poll NAME`."""
    faults: list[str] = field(default_factory=list)
    """What went wrong in here: a test with any of these says nothing."""
    port: int = 0
    _answers: list[dict[str, Any]] = field(default_factory=list)
    _stack: list[dict[str, Any]] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _last_poll_good: bool = True

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """One connection, request after request."""
        begun: list[int] = []
        try:
            while True:
                request = await read_request(reader)
                if request is None:
                    return
                x = Exchange(reader, writer, request)
                await self._answer(x, begun)
                self._end(begun)
                if x.is_over:
                    return
        except (Gone, asyncio.CancelledError):  # cancelled: the run is over
            return
        except Exception as error:  # noqa: BLE001 (the top of a connection's work: the run is told, and says nothing then)
            self.faults.append(f"{type(error).__name__}: {error}")
        finally:
            self._end(begun)
            writer.close()

    async def _answer(self, x: Exchange, begun: list[int]) -> None:
        request = x.request
        if request.path.startswith(ELSEWHERE):
            self.followed.append(request.path)
            await x.reply(202)
        elif request.method == "POST":
            await self._post(x, begun)
        elif request.path.startswith("/v1/messages/"):
            await self._asked(x, unquote(request.path.removeprefix("/v1/messages/")))
        else:
            await self._polled(x)

    def _end(self, begun: list[int]) -> None:
        """The sends of a connection are over, if they were not before."""
        while begun:
            number = begun.pop()
            if self.attempts[number].ended_s == NEVER_S:
                self.attempts[number] = replace(self.attempts[number], ended_s=time.time())

    # -- messages

    async def _post(self, x: Exchange, begun: list[int]) -> None:
        key = x.request.headers["idempotency-key"]
        letter = self._letter(key)
        arrived_s = time.time()
        if letter.attempt is not None and self.attempts[letter.attempt].ended_s == NEVER_S:
            await asyncio.sleep(CLOSED_S)
            ended_s = self.attempts[letter.attempt].ended_s
            if ended_s != NEVER_S:
                self.attempts[letter.attempt] = replace(self.attempts[letter.attempt], ended_s=min(ended_s, arrived_s))
        digest = hashlib.sha256(x.request.body).hexdigest()
        letter.attempt = len(self.attempts)
        begun.append(letter.attempt)
        self.attempts.append(Attempt(wire_key=key, sha256=digest, sender="up", started_s=arrived_s))
        self.arrived_s.setdefault(key, arrived_s)
        letter.attempts += 1
        script = letter.script
        strikes = letter.attempts <= script.times and (not self.calm or script.name in CALM_TOO)
        if not strikes or script.taken:
            self._take(key, letter, x.request, digest)
        if strikes:
            self.befell[f"post {script.post}"] += 1
            await POSTS[script.post](x)
        else:
            await x.reply(202)

    def _letter(self, key: str) -> Letter:
        found = self.letters.get(key)
        if found is None:
            found = self.letters[key] = Letter(script_of(key.rpartition("/")[2], self.more))
        return found

    def _take(self, key: str, letter: Letter, request: Request, digest: str) -> None:
        """Take it in: the first time with its verdict, later as a duplicate."""
        said = {name: request.headers[f"tidegate-{name}"] for name in ("tenant", "mode", "kind", "channel", "function")}
        again = letter.row is not None
        number = len(self.taken) + 1
        row = {
            "seq": number, "idempotency_key": key, "sha256": digest, **said, "keys": json.loads(request.headers["tidegate-keys"]),
            "outcome": "duplicate" if again else letter.script.truth, "code": "", "label": None, "text": "", "judged": number,
            "at": AT,
        }  # fmt: skip
        self.taken.append(row)
        if again:
            self._put(plain(key, said["tenant"], "duplicate"))
            return
        letter.row = row
        if letter.script.told == "before_the_reply":
            self._tell(key, letter)
        else:
            wait_s = LATE_S if letter.script.told == "late" else ANSWER_S
            asyncio.get_running_loop().call_later(wait_s, self._tell, key, letter)

    def _tell(self, key: str, letter: Letter) -> None:
        """Put among the answers what the script says of it."""
        assert letter.row is not None
        letter.is_told = True
        tellings = told_of(letter.script, key, letter.row["tenant"])
        if letter.script.told != "in_reverse":
            for telling in tellings:
                self._put(telling)
            return
        self._stack += tellings
        if len(self._stack) == 1:
            asyncio.get_running_loop().call_later(REVERSED_WAIT_S, self._unstack)
        elif len(self._stack) >= REVERSED_COUNT:
            self._unstack()

    def _unstack(self) -> None:
        while self._stack:
            self._put(self._stack.pop())

    def _put(self, telling: dict[str, Any]) -> None:
        """One more answer, and who waits for answers is woken. What can be read and is addressed to its own is noted as said."""
        self._answers.append({"seq": len(self._answers) + 1, "code": "", "text": "", "payload_base64": None, "at": AT, **telling})
        key, receiver = telling["idempotency_key"], telling["receiver"]
        if key is not None and telling.keys() == PLAIN and f"/{receiver}/" in key:
            self.said.setdefault(key, set()).add(telling["outcome"])
        self._news.set()
        self._news = asyncio.Event()

    # -- questions and polls

    async def _asked(self, x: Exchange, key: str) -> None:
        letter = self._letter(key)
        letter.asked += 1
        if letter.asked <= letter.script.asks and not self.calm:
            self.befell[f"ask {letter.script.ask}"] += 1
            await QUESTIONS[letter.script.ask](x)
            return
        if letter.row is None:
            await x.reply(200, b'{"known": false}')
            return
        outcome = letter.row["outcome"] if letter.is_told else None
        if outcome is not None:
            self.said.setdefault(key, set()).add(outcome)
        await x.reply(200, json.dumps({"known": True, "outcome": outcome}).encode())

    async def _polled(self, x: Exchange) -> None:
        asked = dict(each.split("=") for each in x.request.path.partition("?")[2].split("&"))
        after, wait_s = int(asked["after"]), min(float(asked["wait"]), POLL_WAIT_MAX_S)
        if self.polls and self._last_poll_good and not self.calm:
            self._last_poll_good = False
            name = self.polls.popleft()
            self.befell[f"poll {name}"] += 1
            await POLLS[name](x)
            return
        if len(self._answers) <= after:
            news = self._news
            try:
                async with asyncio.timeout(wait_s):
                    await news.wait()
            except TimeoutError:
                pass
        rows = self._answers[after : after + PAGE_COUNT]
        long = next((number for number, row in enumerate(rows, 1) if row["text"] is LONG_TEXT), len(rows))
        rows = rows[:long]  # a page with two of them would be longer than any that is read
        self._last_poll_good = True
        await x.reply(200, json.dumps({"next": after + len(rows), "responses": rows}).encode())


@contextmanager
def hostile(authority: HostileAuthority) -> Iterator[HostileAuthority]:
    """Let an authority serve on the loopback, in a thread, until the block ends."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    ending = asyncio.Event()

    async def serve() -> None:
        server = await asyncio.start_server(authority.serve, "127.0.0.1", 0, limit=HEAD_BYTES_MAX)
        authority.port = server.sockets[0].getsockname()[1]
        ready.set()
        await ending.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="hostile authority")
    thread.start()
    try:
        assert ready.wait(READY_S), "the hostile authority did not begin"
        yield authority
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
