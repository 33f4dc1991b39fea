"""Rules 16 and 17: environments, connections, and the proxy between them."""

from collections.abc import Iterator
from math import floor, inf

from workshape.shape.case import APP_FILE, RECORDS, Case, enough
from workshape.shape.cost import proxy_month_usd
from workshape.shape.finding import Finding, Flip, Outcome, Rule, Severity
from workshape.shape.laws import busy, mean_wait_s, servers_for_wait
from workshape.shape.work import Profile

SHARE_OF_CONNECTIONS = 0.8
"""The rest is for operators, migrations and the next deployment's overlap."""
WAIT_SHARE_MAX = 0.05
"""A pool is large enough when waiting for it adds this share to the work."""

CONNECTIONS = Rule(
    "16",
    "connections within the database's",
    Severity.FIX,
    "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html#RDS_Limits.MaxConnections",
    "connections",
)
PROXY = Rule(
    "17",
    "a proxy where one is needed",
    Severity.FIX,
    "https://docs.aws.amazon.com/lambda/latest/dg/configuration-database.html",
)


def database_findings(case: Case) -> Iterator[Finding]:
    """Rules 16 and 17; neither applies without a relational database."""
    if case.work.database is None:
        for rule in (CONNECTIONS, PROXY):
            yield rule.not_applicable("it uses no relational database")
        return
    connections = _connections(case)
    yield connections
    yield _proxy(case, connections)


def _connections(case: Case) -> Finding:
    seen = case.evidence.connections
    if seen is None:
        return _connections_unseen(case)
    threshold = floor(SHARE_OF_CONNECTIONS * seen.max_connections)
    peak = case.evidence.environments_peak or 0
    shared = f", shared with {', '.join(seen.shared_with)}" if seen.shared_with else ""
    per_environment = (seen.peak - seen.others) / peak if peak else 0.0
    flips: tuple[Flip, ...] = ()
    if case.work.database == "direct" and not seen.shared_with and per_environment > 0:
        most = max(0, floor((threshold - seen.others) / max(1.0, per_environment)))
        flips = (
            Flip(
                "environments alive",
                most,
                "environments",
                f"connections hold for up to {most} environments alive, as this run opened them",
            ),
        )
    remedy = 'put the proxy between: database = "proxy"'
    if flips:
        remedy += f"; or reserved_concurrency = {floor(flips[0].at)}" if flips[0].at >= 1 else ""
    if case.work.database == "proxy":
        remedy = "give the proxy fewer connections (proxy.max_connections_percent), or the database more"
    return CONNECTIONS.at_most(
        seen.peak,
        threshold,
        f"most connections at once{shared}, with {peak} environments alive, against 80 % of max_connections "
        f"({seen.max_connections})",
        inputs=(
            f"{seen.samples:,} samples of the database's own count while it ran",
            f"environments alive in the {RECORDS}",
        ),
        remedy=remedy,
        flips=flips,
    )


def _connections_unseen(case: Case) -> Finding:
    peak, limit = case.evidence.environments_peak, case.surroundings.max_connections
    missing = ["samples of the database's connections"]
    if peak is None:
        return CONNECTIONS.unknown(
            "neither environments nor connections were recorded", missing=(*missing, "invocations")
        )
    if limit is None:
        return CONNECTIONS.unknown(
            "the database's limit is not known", missing=(*missing, "max_connections"), value=peak
        )
    threshold = floor(SHARE_OF_CONNECTIONS * limit)
    least = peak * (case.work.pool_size or 1)
    if case.work.database == "direct" and least > threshold:
        return CONNECTIONS.at_most(
            least,
            threshold,
            f"{peak} environments alive x a pool of {case.work.pool_size or 1}, at least",
            inputs=(f"environments alive in the {RECORDS}", f"max_connections = {limit} ({APP_FILE})"),
            remedy='put the proxy between: database = "proxy"',
        )
    if case.work.pool_size is None:
        missing.append("the size of the function's pool")
    missing.append("connections of others")
    return CONNECTIONS.unknown(
        f"{peak} environments alive; connections were not sampled",
        missing=tuple(missing),
        threshold=threshold,
        inputs=(f"environments alive in the {RECORDS}", f"max_connections = {limit} ({APP_FILE})"),
    )


def _proxy(case: Case, connections: Finding) -> Finding:
    through = case.work.database == "proxy"
    profile = case.surroundings.profile
    instances, serverless = proxy_month_usd()
    inputs = (
        f"database = {case.work.database} ({APP_FILE})",
        f"profile {profile.value}",
        f"RDS Proxy: from ${instances:,.2f} a month on instances (2 vCPU), "
        f"${serverless:,.2f} on Aurora Serverless (8 ACU)",
    )
    flips = (*_unneeded(case), *_sizing(case))
    if profile is Profile.ESSAY:
        return PROXY.settled(
            through,
            "a function with a relational database goes through a proxy, always",
            inputs=inputs,
            remedy='database = "proxy"',
            flips=flips,
        )
    if through:
        return PROXY.settled(True, "it goes through one", inputs=inputs, flips=flips)
    if connections.outcome is Outcome.UNKNOWN:
        return PROXY.unknown("it needs one if rule 16 fails", missing=connections.missing, inputs=inputs)
    return PROXY.settled(
        connections.outcome is Outcome.PASS,
        "without one, rule 16 holds" if connections.outcome is Outcome.PASS else "without one, rule 16 fails",
        inputs=inputs,
        remedy='database = "proxy"',
        flips=flips,
    )


def _unneeded(case: Case) -> tuple[Flip, ...]:
    """How few environments the database could serve itself, with a pool of one in each."""
    seen = case.evidence.connections
    limit = seen.max_connections if seen is not None else case.surroundings.max_connections
    if case.work.database != "proxy" or limit is None:
        return ()
    most = floor(SHARE_OF_CONNECTIONS * limit) - (seen.others if seen is not None else 0)
    if most < 1:
        return ()
    statement = f"the proxy is unnecessary if reserved concurrency <= {most}, with a pool of one and nobody else"
    return (Flip("reserved concurrency", most, "environments", statement),)


def _sizing(case: Case) -> tuple[Flip, ...]:
    """How many connections the proxy needs at the busiest second, were the whole duration spent in the database."""
    warm, peak = enough(case.evidence.warm_ms), case.evidence.offered_peak_per_s
    if warm is None or peak is None:
        return ()
    duration_s = warm.mean / 1_000
    load = busy(peak, duration_s)
    count = servers_for_wait(load, duration_s, WAIT_SHARE_MAX * duration_s, warm.variation)
    wait_ms = mean_wait_s(load, count, duration_s, warm.variation) * 1_000
    if wait_ms == inf:
        return ()
    statement = (
        f"a proxy needs {count} connections for the busiest second ({peak}/s), were all its time the database's: "
        f"{wait_ms:.2g} ms mean wait (Erlang C)"
    )
    return (Flip("proxy connections", count, "connections", statement),)
