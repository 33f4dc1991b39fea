"""3 a.m. in one click: a database that functions have filled up, seen and freed in the console."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.running import RUNTIME, Running, bring_up, eventually, workshape
from tests.fakes.browser import Browser, browser, browser_program

MAX_CONNECTIONS = 10
KEPT_FOR_SUPERUSERS = 3
REQUEST_S_MAX = 60.0
APP = f"""
[app]
name = "night"

[platform]
upstream = {{ dynamodb = "moto" }}

[functions.holds]
runtime = "{RUNTIME}"
handler = "holds.handle"
code = "code"
requirements = "requirements.txt"
timeout_s = 30
database = "direct"

[[routes]]
route = "GET /holds"
function = "holds"

[database]
name = "shop"
max_connections = {MAX_CONNECTIONS}
"""
HOLDS = """
import os

import psycopg

held = []


def handle(event, context):
    held.clear()
    try:
        while True:
            held.append(psycopg.connect(os.environ["DATABASE_URL"], autocommit=True))
    except psycopg.OperationalError:
        return f"{len(held)} held"
"""


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("night")
    (folder / "code").mkdir()
    (folder / "workshape.toml").write_text(APP)
    (folder / "code" / "holds.py").write_text(HOLDS)
    (folder / "code" / "requirements.txt").write_text("psycopg[binary]>=3.2,<4\n")
    with bring_up(folder, "--no-follow") as running:
        yield running


def fill(running: Running) -> None:
    """Have the function take every connection there is, and wait until that is seen."""
    httpx.get(f"{running.run.http}/holds", timeout=REQUEST_S_MAX, trust_env=False).raise_for_status()
    eventually(lambda: is_full(running))


def is_full(running: Running) -> bool:
    database = running.status().database
    assert database is not None
    return bool(database.refused_last_minute) and database.connections == MAX_CONNECTIONS - KEPT_FOR_SUPERUSERS


def test_a_full_database_is_seen_and_freed_over_http(night: Running) -> None:
    fill(night)
    console = night.run.console
    with httpx.Client(base_url=console, headers={"origin": console}, trust_env=False, timeout=30) as page:
        seen = page.get("/api/now/status").json()
        foreseen = page.post("/api/now/foresee", json={"function": "holds"}).json()
        throttled = page.post("/api/now/throttle", json={"function": "holds", "count": 1}).json()
        ended = page.post("/api/now/kill-connections", json={"function": "holds"}).json()
        after = page.get("/api/now/status").json()["engine"]["functions"][0]
    said = workshape("status", "--folder", str(night.folder))[1]
    dry = workshape("kill-connections", "--dry-run", "--folder", str(night.folder))
    workshape("throttle", "holds", "--off", "--folder", str(night.folder))

    held = MAX_CONNECTIONS - KEPT_FOR_SUPERUSERS - 1  # one is the watch's
    alarm = seen["alarms"][0]
    assert (alarm["severity"], alarm["function"], alarm["connections"]) == ("fire", "holds", True)
    assert f"holds has {held}" in alarm["what"]
    assert (foreseen["count"], throttled["said"]) == (held, "holds: reserved concurrency was not set, is 1")
    assert ended["said"].splitlines()[0] == f"ended {held} connections ({held} of holds)"
    assert after["reserved_concurrency"] == 1
    assert console in night.said
    assert console in said
    assert "refused in the last minute" in said
    assert dry[1].splitlines() == [
        "would end 0 connections",
        f"would leave 1 connection (1 of the platform's watch), of {MAX_CONNECTIONS} there can be",
    ]


@pytest.fixture
def page() -> Iterator[Browser]:
    program = browser_program()
    if program is None:
        pytest.skip("no Chromium on this machine: the console was not looked at in a browser")
    with browser(program) as page:
        yield page


def test_two_buttons_put_the_fire_out_in_a_browser_on_a_phone(night: Running, page: Browser, tmp_path: Path) -> None:
    fill(night)
    page.look_like(390, 844, dark=True, phone=True)
    page.open(night.run.console)
    page.wait_until("document.querySelectorAll('#alarms .fire').length > 0")
    wide = page.run("document.documentElement.scrollWidth > document.documentElement.clientWidth")

    page.run(
        "[...document.querySelectorAll('#alarms button')].find((one) => one.textContent.startsWith('Throttle')).click()"
    )
    focused = page.run("document.activeElement.id")
    page.run("document.getElementById('throttle-count').value = '1'")
    page.press("Enter")
    page.wait_until("document.getElementById('done').textContent.includes('holds: reserved concurrency')")
    page.run("document.getElementById('kill').click()")
    page.wait_until("document.getElementById('kill-ask').textContent.startsWith('Kill 6 connections')")
    page.run("document.getElementById('kill-ask').click()")
    ended_before_yes = page.run("document.getElementById('done').textContent.includes('ended')")
    page.run("document.getElementById('kill-sure').click()")
    page.wait_until("document.getElementById('done').textContent.includes('ended 6 connections (6 of holds)')")
    page.run("document.querySelector('#functions button').click()")
    page.press("Escape")

    assert not wide, "the page is wider than a phone"
    assert focused == "throttle-count"
    assert not ended_before_yes, "it is asked once more"
    assert page.run("document.querySelectorAll('dialog[open]').length") == 0
    assert page.run("document.getElementById('lost').hidden")
