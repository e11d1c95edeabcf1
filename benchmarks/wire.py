"""What one message costs on the wire: CPU microseconds of this process and of the simulated authority, and POSTs a second.

`gateway` is the HttpsGateway as the workers use it, `bare` the same POSTs by an aiohttp session with nothing around it. Rounds
are interleaved, each on an authority of its own; the figures are medians. `poll` is the fetching of the answers afterwards, page
after page. `python -m benchmarks.wire --help`.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import aiohttp
import uvloop

from benchmarks import charts
from benchmarks.figures import Figure, Report, arguments, machine_line, positive, told_round
from gateway.authority_process import AuthorityProcess, running_authority
from gateway.https import HttpsGateway, boot_clock_s
from gateway.port import Transmission

PAYLOAD_BYTES: Final = 1024
"""A customs message is a kibibyte or two."""

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")

FIGURES: Final = (
    Figure(name="per_s", unit="messages/s", meaning="messages a second, both processes on this machine"),
    Figure(name="client_us", unit="us", meaning="CPU of this process a message", digits=1),
    Figure(name="server_us", unit="us", meaning="CPU of the authority a message", digits=1),
)

Work = Callable[[str, int, int], Awaitable[None]]


def transmission(number: int) -> Transmission:
    """A cargo report of PAYLOAD_BYTES whose shipment no other names."""
    key = f"c{number}"
    return Transmission(
        wire_key=f"highway/bench/{key}",
        payload=key.encode().ljust(PAYLOAD_BYTES, b"~"),
        content_type="application/EDI-X12",
        tenant="bench",
        mode="highway",
        kind="cargo",
        channel="edi",
        function="original",
        keys=f'{{"ccn":["BNCH{number:07}"]}}',
        start_by_s=boot_clock_s() + 60.0,
        within_s=60.0,
    )


async def by_gateway(url: str, messages: int, in_flight: int) -> None:
    """Post so many messages by the gateway, so many at a time."""
    gateway = HttpsGateway(url, connections_max=in_flight, timeout_s=60.0)

    async def post(number: int) -> None:
        reply = await gateway.send(transmission(number))
        assert reply.result == "transmitted", reply

    await _at_a_time(post, messages, in_flight)
    await gateway.close()


async def by_bare_client(url: str, messages: int, in_flight: int) -> None:
    """Post the same by an aiohttp session with nothing around it."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session:

        async def post(number: int) -> None:
            message = transmission(number)
            headers = {
                "Idempotency-Key": message.wire_key,
                "Content-Type": message.content_type,
                "Tidegate-Tenant": message.tenant,
                "Tidegate-Mode": message.mode,
                "Tidegate-Kind": message.kind,
                "Tidegate-Channel": message.channel,
                "Tidegate-Function": message.function,
                "Tidegate-Keys": message.keys,
            }
            async with session.post(f"{url}/v1/messages", data=message.payload, headers=headers) as reply:
                assert reply.status == 202
                await reply.read()

        await _at_a_time(post, messages, in_flight)


async def _at_a_time(post: Callable[[int], Awaitable[None]], messages: int, in_flight: int) -> None:
    numbers = iter(range(messages))

    async def one_by_one() -> None:
        for number in numbers:
            await post(number)

    await asyncio.gather(*(one_by_one() for _ in range(in_flight)))


async def poll_all(url: str, messages: int, _in_flight: int) -> None:
    """Fetch the answers of all messages, page after page."""
    gateway, after = HttpsGateway(url), 0
    while after < messages:
        after = (await gateway.poll(after, 1.0)).last_seq
    await gateway.close()


def measured(work: Work, authority: AuthorityProcess, options: argparse.Namespace) -> dict[str, float]:
    """Run it in a loop of its own; messages a second and CPU microseconds a message of both processes."""

    async def timed() -> dict[str, float]:
        server_s, client_s, began_s = _cpu_s_of(authority.process.pid), time.process_time(), time.perf_counter()
        await work(authority.base_url, options.messages, options.in_flight)
        took_s, client_s = time.perf_counter() - began_s, time.process_time() - client_s
        server_s = _cpu_s_of(authority.process.pid) - server_s
        count = options.messages
        return {"per_s": count / took_s, "client_us": client_s * 1e6 / count, "server_us": server_s * 1e6 / count}

    return uvloop.run(timed()) if options.loop == "uvloop" else asyncio.run(timed())


def _cpu_s_of(pid: int) -> float:
    """User and system time of another process (proc(5): fields 14 and 15 of its stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def main() -> None:
    """Run the rounds and print the figures."""
    parser = arguments("wire", __doc__, rounds=3)
    parser.add_argument("--messages", type=positive, default=10_000)
    parser.add_argument("--in-flight", type=positive, default=128)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="uvloop", help="the client's event loop")
    options = parser.parse_args()
    rounds: dict[str, list[dict[str, float]]] = {"gateway": [], "bare aiohttp": [], "poll": []}
    for number in range(options.rounds):
        with running_authority() as authority:
            rounds["gateway"].append(measured(by_gateway, authority, options))
            rounds["poll"].append(measured(poll_all, authority, options))
        with running_authority() as authority:
            rounds["bare aiohttp"].append(measured(by_bare_client, authority, options))
        told_round(number + 1, options.rounds, f"{rounds['gateway'][-1]['per_s']:,.0f} POSTs a second")
    settings = {"messages": options.messages, "in_flight": options.in_flight, "loop": options.loop}
    report = Report("wire", settings, FIGURES)
    for who, figures in rounds.items():
        report.add({"who": who}, figures)
    groups = {who: report.medians(number) for number, who in enumerate(rounds)}
    posts = {who: {FIGURES[1].meaning: each["client_us"], FIGURES[2].meaning: each["server_us"]} for who, each in groups.items()}
    note = machine_line(report.machine)
    report.tell(options, lambda path: charts.bars(path, "What a message costs on the wire", posts, unit="CPU us", note=note))


if __name__ == "__main__":
    main()
