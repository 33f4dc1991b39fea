"""Scene 1, 3 a.m.: the same burst three times, on a PostgreSQL with few connections.

The three differ only in how `search` connects: a client opened by every invocation and never closed; a pool of
one in each environment, straight at the database; the same pool of one through the proxy.
"""

import asyncio
import statistics
import time
from collections import Counter
from dataclasses import asdict, dataclass, field

import httpx

from examples.demo.platform import Platform

CALLERS = 32
REQUESTS = 600
SETTLE_S_MAX = 10.0


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to connect, in one language."""

    title: str
    language: str
    function: str
    path: str

    @property
    def is_proxied(self) -> bool:
        """Whether it goes through the proxy."""
        return self.title.endswith("proxy")


# The proxy comes last: it keeps connections for whoever comes next, and the others shall start from nothing.
VARIANTS = tuple(
    Variant(title, language, f"search{python}{suffix}", f"/{route}{middle}posts")
    for title, suffix, middle in (
        ("a client a call", "-3am", "3am/"),
        ("a pool of 1", "-direct", "direct/"),
        ("pool of 1 + proxy", "", ""),
    )
    for language, python, route in (("TypeScript", "", ""), ("Python", "-python", "python/"))
)


@dataclass(slots=True)
class Burst:
    """What one burst did. Latencies are of every answer, errors included, in milliseconds."""

    title: str
    language: str
    function: str
    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    statuses: dict[int, int]
    refused: int
    """FATAL: sorry, too many clients already (SQLSTATE 53300), by the database server's own log."""
    newcomer_admitted: bool
    """Whether one more ordinary client could connect where this variant connects, right after the burst."""
    connections_max: int
    connections: list[tuple[float, int]] = field(repr=False)
    """Connections the database server held: (seconds since the burst began, how many)."""

    @property
    def errors(self) -> int:
        """Answers other than 200."""
        return sum(count for status, count in self.statuses.items() if status != 200)

    def as_json(self) -> dict[str, object]:
        """Everything, unrounded."""
        return asdict(self) | {"errors": self.errors}


async def play(platform: Platform, variant: Variant) -> Burst:
    """Run one variant's burst against fresh environments; leave none of its connections behind."""
    await asyncio.to_thread(platform.replace_environments, variant.function)
    refused_before = platform.refusals()
    started = time.time()
    latencies_ms, statuses = await _burst(f"{platform.http}{variant.path}")
    seconds = time.time() - started
    refused = platform.refusals() - refused_before
    newcomer = await asyncio.to_thread(platform.newcomer_is_admitted, proxied=variant.is_proxied)
    await asyncio.sleep(0.5)  # what the last invocations left behind is part of the picture
    samples = platform.connections_since(started)
    await asyncio.to_thread(platform.replace_environments, variant.function)
    if not variant.is_proxied:
        await _until_calm(platform, before=samples[0][1])
    quantiles = statistics.quantiles(latencies_ms, n=100)
    return Burst(
        title=variant.title,
        language=variant.language,
        function=variant.function,
        requests=REQUESTS,
        seconds=seconds,
        p50_ms=quantiles[49],
        p99_ms=quantiles[98],
        statuses=dict(sorted(statuses.items())),
        refused=refused,
        newcomer_admitted=newcomer,
        connections_max=max((count for _, count in samples), default=0),
        connections=[(at - started, count) for at, count in samples],
    )


async def _burst(url: str) -> tuple[list[float], Counter[int]]:
    latencies_ms: list[float] = []
    statuses: Counter[int] = Counter()
    ids = iter(range(REQUESTS))
    limits = httpx.Limits(max_connections=CALLERS, max_keepalive_connections=CALLERS)

    async with httpx.AsyncClient(limits=limits, timeout=35.0) as client:

        async def call_until_done() -> None:
            for number in ids:
                started = time.perf_counter()
                response = await client.get(f"{url}/{number % 1000 + 1}")
                latencies_ms.append((time.perf_counter() - started) * 1000)
                statuses[response.status_code] += 1

        async with asyncio.TaskGroup() as callers:
            for _ in range(CALLERS):
                callers.create_task(call_until_done())
    return latencies_ms, statuses


async def _until_calm(platform: Platform, before: int) -> None:
    """Wait until the ended environments' connections are gone, so that each burst starts alike."""
    deadline = time.monotonic() + SETTLE_S_MAX
    while time.monotonic() < deadline and platform.connections_since(time.time())[-1][1] > before:
        await asyncio.sleep(0.1)
