"""Rule 18: settings that will hurt sooner or later."""

from collections.abc import Iterator

from workshape.shape.case import APP_FILE, NO_INVOCATION, RECORDS, Case
from workshape.shape.finding import Finding, Rule, Severity
from workshape.shape.lifecycle import KEEP_ALIVE_S_HIGH

PROXY_SETTINGS = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-managing.html"
SHARE_OF_TIMEOUT = 0.8
SHARE_OF_MEMORY = 0.9

POOL = Rule(
    "18a",
    "one connection an environment",
    Severity.ADVICE,
    "https://docs.aws.amazon.com/lambda/latest/dg/configuration-database.html",
    "connections per environment",
)
BORROW = Rule("18b", "the proxy gives up before the function does", Severity.ADVICE, PROXY_SETTINGS, "s")
IDLE = Rule(
    "18c", "the proxy keeps clients longer than Lambda keeps environments", Severity.ADVICE, PROXY_SETTINGS, "s"
)
PINNING = Rule(
    "18d",
    "connections are not pinned",
    Severity.ADVICE,
    "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-pinning.html",
)
RESERVED = Rule(
    "18e",
    "concurrency is reserved",
    Severity.ADVICE,
    "https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html",
    "environments",
)
THROTTLES = Rule(
    "18f",
    "nothing was throttled",
    Severity.ADVICE,
    "https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html",
    "invocations",
)
OWN_TIMEOUT = Rule(
    "18g",
    "the function's own timeout leaves room",
    Severity.ADVICE,
    "https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html",
    "s",
)
OWN_MEMORY = Rule(
    "18h",
    "the function's own memory leaves room",
    Severity.ADVICE,
    "https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html",
    "MB",
)


def setting_findings(case: Case) -> Iterator[Finding]:
    """Rule 18, line by line."""
    yield _pool(case)
    yield _borrow(case)
    yield _idle(case)
    yield _pinning(case)
    yield _reserved(case)
    yield _throttles(case)
    yield _own_timeout(case)
    yield _own_memory(case)


def _pool(case: Case) -> Finding:
    if case.work.database is None:
        return POOL.not_applicable("it uses no relational database")
    remedy = "a pool of one: an environment does one thing at a time"
    if case.work.pool_size is not None:
        return POOL.at_most(case.work.pool_size, 1, "declared", inputs=("declared: pool_size",), remedy=remedy)
    seen, environments = case.evidence.connections, case.evidence.environments_peak
    missing = ("the size of the function's pool",)
    if case.work.database == "proxy" or seen is None or not environments or seen.shared_with:
        return POOL.unknown("an environment's own connections cannot be told apart", missing=missing)
    each = (seen.peak - seen.others) / environments
    if each > 1:
        return POOL.at_most(
            each,
            1,
            f"({seen.peak} - {seen.others} of others) / {environments} environments",
            inputs=(f"samples of the database's connections, environments alive in the {RECORDS}",),
            remedy=remedy,
        )
    full = seen.peak >= seen.max_connections - seen.others
    why = "the database was full" if full else "no more were opened, which does not say that no more may be"
    return POOL.unknown(why, missing=missing, value=each, threshold=1)


def _borrow(case: Case) -> Finding:
    if case.work.database != "proxy":
        return BORROW.not_applicable("it uses no proxy")
    borrow_s = case.surroundings.borrow_timeout_s
    if borrow_s is None:
        return BORROW.unknown("the proxy's setting is not known", missing=("connection_borrow_timeout_s",))
    return BORROW.at_most(
        borrow_s,
        case.work.timeout_s,
        "borrow timeout against the function's timeout",
        inputs=(f"proxy.connection_borrow_timeout_s, timeout_s ({APP_FILE})",),
        remedy=f"connection_borrow_timeout_s below {case.work.timeout_s}: else the function dies waiting, unheard",
    )


def _idle(case: Case) -> Finding:
    if case.work.database != "proxy":
        return IDLE.not_applicable("it uses no proxy")
    idle_s = case.surroundings.idle_client_timeout_s
    if idle_s is None:
        return IDLE.unknown("the proxy's setting is not known", missing=("idle_client_timeout_s",))
    return IDLE.at_least(
        idle_s,
        KEEP_ALIVE_S_HIGH,
        "a frozen environment's connection must outlive its longest sleep",
        inputs=(f"proxy.idle_client_timeout_s ({APP_FILE})", "longest keep-alive seen on AWS (traces of 2020)"),
        remedy="raise it: else a thawed environment writes to a connection that is closed",
    )


def _pinning(case: Case) -> Finding:
    if case.work.database != "proxy":
        return PINNING.not_applicable("it uses no proxy")
    return PINNING.unknown(
        "pins are not in the records", missing=("the proxy's count of pinned sessions (`workshape status`)",)
    )


def _reserved(case: Case) -> Finding:
    if case.work.database is None:
        return RESERVED.not_applicable("nothing behind it has few connections")
    reserved = case.work.reserved_concurrency
    return RESERVED.settled(
        reserved is not None,
        "with a database behind it, something must bound how many run"
        if reserved is None
        else "it bounds how many run",
        inputs=(f"reserved_concurrency ({APP_FILE})",),
        value=reserved,
        remedy="set reserved_concurrency",
    )


def _throttles(case: Case) -> Finding:
    if case.evidence.window is None:
        return THROTTLES.unknown("nothing was recorded", missing=(NO_INVOCATION,))
    return THROTTLES.at_most(
        case.evidence.throttled,
        0,
        "refused with 429",
        inputs=(f"status throttled in the {RECORDS}",),
        remedy="raise reserved_concurrency, or send less at once",
    )


def _own_timeout(case: Case) -> Finding:
    slowest = max((trigger.durations_ms.values[-1] for trigger in case.evidence.triggers), default=None)
    if slowest is None:
        return OWN_TIMEOUT.unknown("nothing was recorded", missing=(NO_INVOCATION,))
    return OWN_TIMEOUT.at_most(
        slowest / 1_000,
        SHARE_OF_TIMEOUT * case.work.timeout_s,
        f"slowest invocation against 80 % of timeout_s ({case.work.timeout_s})",
        inputs=(f"durations in the {RECORDS}", f"timeout_s ({APP_FILE})"),
        remedy="raise timeout_s",
    )


def _own_memory(case: Case) -> Finding:
    peak = case.evidence.memory_mb_peak
    if not peak:
        return OWN_MEMORY.unknown(
            "memory was not recorded", missing=("max_memory_mb",) if peak == 0 else (NO_INVOCATION,)
        )
    return OWN_MEMORY.at_most(
        peak,
        SHARE_OF_MEMORY * case.work.memory_mb,
        f"most memory used against 90 % of memory_mb ({case.work.memory_mb})",
        inputs=(f"max_memory_mb in the {RECORDS}", f"memory_mb ({APP_FILE})"),
        remedy="raise memory_mb",
    )
