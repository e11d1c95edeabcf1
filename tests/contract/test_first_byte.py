"""A request leaves the process at the moment when it is asked, on every event loop that we run on."""

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from gateway.authority_process import AuthorityProcess, running_authority
from gateway.connections import Connections
from gateway.https import HttpsGateway, boot_clock_s
from gateway.port import TransportReply
from tests.contract.gateway_contract import cargo, fresh_key

ASK = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_the_first_byte_goes_out_before_anything_else_runs(run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    """R41, I2c: between the look at the clock and the wire nothing may come, or a process frozen there sends when it wakes."""

    async def ask_and_stop_there() -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as server:
            connections = Connections("127.0.0.1", server.getsockname()[1], tls=None)
            connection = await connections.ready(5.0)
            peer, _ = server.accept()
            with peer:
                asking = connection.ask(ASK, within_s=5.0, body_bytes_max=10)
                reply = asking.send(None)  # the loop gets no turn
                time.sleep(0.05)  # noqa: ASYNC251 (the loop must stand still)
                peer.setblocking(False)
                arrived = peer.recv(len(ASK) + 1)
                asking.close()
                assert isinstance(reply.exception(), ConnectionAbortedError)
                await connections.close()
                return arrived

    async def main() -> None:
        assert ASK == await ask_and_stop_there()

    run(main())


def test_a_sender_that_stood_still_before_its_write_cuts_what_it_wrote_too_late() -> None:
    """I2c, I4b: no look at a clock prevents a pause behind it. The age tells of it, and no other's send is overlapped."""
    readings = iter([0.0, 0.0, 9.0, 9.0])
    late = cargo(fresh_key("late"), start_by_s=5.0)

    async def scenario(authority: AuthorityProcess) -> tuple[TransportReply, TransportReply]:
        sleeper, holder = HttpsGateway(authority.base_url, boot_clock_s=lambda: next(readings)), HttpsGateway(authority.base_url)
        try:
            return await sleeper.send(late), await holder.send(replace(late, start_by_s=boot_clock_s() + 5))
        finally:
            await sleeper.close()
            await holder.close()

    with running_authority() as authority:
        authority.set_faults(latency_ms=500)
        first, second = asyncio.run(scenario(authority))
        overlapping = authority.stats()["overlapping_keys"]
    assert ("unknown", 9.0) == (first.result, first.started_s)
    assert "transmitted" == second.result
    assert late.wire_key not in overlapping
