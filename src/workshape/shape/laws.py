"""The laws of queueing that the verdict stands on, in closed form.

Loads are in erlangs (rate times duration): the mean number of servers busy at once.
"""

from collections.abc import Sequence
from math import ceil, exp, factorial, inf, isinf

SERVERS_MAX = 100_000
"""Bound of every search below: a hundred times the default account concurrency."""
NEGLIGIBLE_SHARE = 1e-9
BUSY_MAX = 1_000.0
"""Where the search for a rate ends: the default account concurrency."""
GAPLESS = 50.0
"""Arrivals in a keep-alive from which on no gap is that long: e**-50."""


def busy(rate_per_s: float, duration_s: float) -> float:
    """Mean number in service at once.

    Source: Little's law, https://doi.org/10.1287/opre.9.3.383
    """
    return rate_per_s * duration_s


def erlang_b(load: float, servers: int) -> float:
    """Share of arrivals that find every server busy and are lost, or spill over.

    It depends on the mean duration only, not on its distribution.
    Source: https://en.wikipedia.org/wiki/Erlang_(unit)#Erlang_B_formula, in its recursive form
    """
    if load <= 0:
        return 0.0 if servers else 1.0
    inverse = 1.0
    for count in range(1, servers + 1):
        inverse = 1.0 + inverse * count / load
        if isinf(inverse):
            return 0.0
    return 1.0 / inverse


def erlang_c(load: float, servers: int) -> float:
    """Share of arrivals that must wait for a server, with exponential durations; 1 when the servers cannot keep up.

    Source: https://en.wikipedia.org/wiki/Erlang_(unit)#Erlang_C_formula
    """
    if load >= servers:
        return 1.0
    lost = erlang_b(load, servers)
    return lost / (1.0 - load / servers * (1.0 - lost))


def mean_wait_s(load: float, servers: int, duration_s: float, variation: float = 1.0) -> float:
    """Mean wait of all arrivals for one of the servers; infinite when they cannot keep up.

    `variation` is the squared coefficient of variation of the durations: 1 when they are exponential, which is exact;
    else Allen and Cunneen's approximation. Source: https://doi.org/10.1016/C2009-0-22163-5 (section 5.3)
    """
    if load >= servers:
        return inf
    return erlang_c(load, servers) * duration_s / (servers - load) * (1.0 + variation) / 2.0


def servers_for_loss(load: float, share_max: float) -> int:
    """The fewest servers that lose at most that share of the arrivals.

    >>> servers_for_loss(14.0, 0.01)
    23
    """
    lost, servers = 1.0, 0
    while lost > share_max and servers < SERVERS_MAX:
        servers += 1
        lost = load * lost / (servers + load * lost)
    return servers


def servers_for_wait(load: float, duration_s: float, wait_s_max: float, variation: float = 1.0) -> int:
    """The fewest servers whose mean wait is within that bound; `variation` as for `mean_wait_s`."""
    lost, servers = 1.0, 0
    while servers < SERVERS_MAX:
        servers += 1
        lost = load * lost / (servers + load * lost)
        if servers > load:
            waits = lost / (1.0 - load / servers * (1.0 - lost))
            if waits * duration_s / (servers - load) * (1.0 + variation) / 2.0 <= wait_s_max:
                break
    return servers


def cold_share(rate_per_s: float, duration_s: float, keep_alive_s: float, age_s_max: float = inf) -> float:
    """Share of cold starts among Poisson arrivals at a steady rate.

    Environments are used most recently used first, so the n-th gets only what n - 1 others spill (Erlang B): each is
    treated as if its arrivals were Poisson too. One environment serves in a cycle: a cold start, then whatever comes
    before a gap of `keep_alive_s` or the age `age_s_max` ends it.
    """
    if rate_per_s <= 0:
        return 1.0
    load = busy(rate_per_s, duration_s)
    spilled, share, environments = 1.0, 0.0, 0
    while spilled > NEGLIGIBLE_SHARE and environments < SERVERS_MAX:
        share += spilled / _served_in_a_life(rate_per_s * spilled, keep_alive_s, age_s_max)
        environments += 1
        spilled = load * spilled / (environments + load * spilled)
    return share


def rate_for_cold_share(share: float, duration_s: float, keep_alive_s: float, age_s_max: float = inf) -> float:
    """The lowest rate whose share of cold starts is at most `share`: below it, that quantile *is* a cold start.

    Infinite when there is none: an environment cannot serve enough of such long work within its age.
    """
    high = 1e-6  # a request in eleven days
    while cold_share(high, duration_s, keep_alive_s, age_s_max) > share:
        high *= 2
        if busy(high, duration_s) > BUSY_MAX:
            return inf
    low = high / 2
    for _ in range(40):
        middle = (low * high) ** 0.5
        if cold_share(middle, duration_s, keep_alive_s, age_s_max) > share:
            low = middle
        else:
            high = middle
    return high


def quantile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank quantile of values in ascending order: one of them, and the largest when they are few."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def _served_in_a_life(rate_per_s: float, keep_alive_s: float, age_s_max: float) -> float:
    """Mean number of arrivals that one environment serves, its cold start included.

    With M(x) the mean number within age x and D = exp(-rate * keep_alive), M' = rate * (1 - D * M(x - keep_alive)),
    M(0) = 1; by Laplace transform M is a finite sum, one term for each keep-alive that fits in the age.
    """
    if rate_per_s * keep_alive_s > GAPLESS:
        return 1.0 + rate_per_s * age_s_max
    gap_share = exp(-rate_per_s * keep_alive_s)
    if isinf(age_s_max):
        return 1.0 / gap_share
    total, gaps = 0.0, 0
    while gaps * keep_alive_s <= age_s_max:
        rest = age_s_max - gaps * keep_alive_s
        term = rest**gaps / factorial(gaps) + rate_per_s * rest ** (gaps + 1) / factorial(gaps + 1)
        total += (-rate_per_s * gap_share) ** gaps * term
        gaps += 1
    return max(1.0, total)
