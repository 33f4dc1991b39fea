"""The notation: what it takes, and how it refuses the rest."""

import contextlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.app.model import (
    Bucket,
    Database,
    Function,
    ImageConfig,
    Key,
    Layer,
    Mapping,
    Queue,
    Redrive,
    Route,
    Table,
)
from workshape.app.toml import load_app, parse_app
from workshape.settings import Ports, Settings
from workshape.toml_document import TomlInvalid

WHOLE = """
[app]
name = "creator-platform"

[platform]
region = "eu-west-1"
ports = { endpoint = 0 }

[functions.search]
runtime = "nodejs22.x"
handler = "search.handler"
code = "typescript"
entry = "src/search.ts"
memory_mb = 256
timeout_s = 10
reserved_concurrency = 50
database = "proxy"
environment = { TABLE = "events" }
latency_p99_ms = 500

[functions.events]
runtime = "python3.12"
handler = "events.handle"
code = "python"
layers = ["shared"]

[layers.shared]
code = "layers/shared"

[queues.events]
visibility_timeout_s = 60
redrive = { dead_letter_queue = "events-dlq", receive_count_max = 3 }

[queues.events-dlq]

[[mappings]]
queue = "events"
function = "events"
batch_size = 10
report_batch_item_failures = true

[[routes]]
route = "GET /posts/{id}"
function = "search"

[tables.events]
partition_key = "pk"
sort_key = "sk:N"

[buckets.uploads]

[database]
name = "creator"
max_connections = 30
init_sql = "schema.sql"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "typescript" / "src").mkdir(parents=True)
    (tmp_path / "typescript" / "src" / "search.ts").write_text("export const handler = 1")
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "events.py").write_text("def handle(event, context): ...")
    (tmp_path / "layers" / "shared").mkdir(parents=True)
    (tmp_path / "schema.sql").write_text("")
    return tmp_path


def load(folder: Path, text: str) -> str:
    """Load an app file that is wrong; return the message."""
    (folder / "workshape.toml").write_text(text)
    with pytest.raises(TomlInvalid) as refused:
        load_app(folder)
    return str(refused.value)


def test_a_whole_app_file_becomes_the_model(folder: Path) -> None:
    (folder / "workshape.toml").write_text(WHOLE)

    app, settings = load_app(folder)

    assert settings == Settings(region="eu-west-1", ports=Ports(endpoint=0))
    assert app.name == "creator-platform"
    assert app.functions == (
        Function(
            name="search",
            runtime="nodejs22.x",
            handler="search.handler",
            code=str(folder / "typescript"),
            entry="src/search.ts",
            memory_mb=256,
            timeout_s=10,
            reserved_concurrency=50,
            database="proxy",
            environment={"TABLE": "events"},
            latency_p99_ms=500,
        ),
        Function(
            name="events",
            runtime="python3.12",
            handler="events.handle",
            code=str(folder / "python"),
            layers=("shared",),
        ),
    )
    assert app.layers == (Layer("shared", str(folder / "layers" / "shared")),)
    assert app.queues[0] == Queue("events", visibility_timeout_s=60, redrive=Redrive("events-dlq", 3))
    assert app.mappings == (Mapping("events", "events", report_batch_item_failures=True),)
    assert app.routes == (Route("GET /posts/{id}", "search"),)
    assert app.tables == (Table("events", Key("pk"), Key("sk", "N")),)
    assert app.buckets == (Bucket("uploads"),)
    assert app.database == Database(name="creator", max_connections=30, init_sql=str(folder / "schema.sql"))


def test_an_empty_app_file_is_an_app_named_after_its_folder(tmp_path: Path) -> None:
    app, settings = parse_app(b"", tmp_path / "workshape.toml")

    assert app.name == tmp_path.name
    assert settings == Settings()


def test_a_missing_app_file_is_told_apart_from_a_wrong_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_app(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        (
            "memroy_mb = 256",
            "memory_mb = 256",
            ', line 14: [functions.search] memroy_mb: there is no such key; did you mean "memory_mb"?',
        ),
        (
            'memory_mb = "256"',
            "memory_mb = 256",
            ", line 14: [functions.search] memory_mb: expected integer, got string",
        ),
        (
            "memory_mb = 64",
            "memory_mb = 256",
            ", line 14: [functions.search] memory_mb: expected integer >= 128, got 64",
        ),
        (
            'database = "prxy"',
            'database = "proxy"',
            ", line 17: [functions.search] database: expected one of proxy, direct, got 'prxy'",
        ),
        (
            'environment = { AWS_REGION = "x" }',
            'environment = { TABLE = "events" }',
            "[functions.search] environment.AWS_REGION: Lambda sets this variable itself",
        ),
        (
            'environment = { "1 A" = "x" }',
            'environment = { TABLE = "events" }',
            "'1 A' is no name for a variable: two or more letters, digits and _, a letter first",
        ),
        (
            f'environment = {{ LONG = "{"x" * 4_096}" }}',
            'environment = { TABLE = "events" }',
            "its variables take 4,107 bytes as JSON; 4,096 are the most",
        ),
        (
            'account = "12"\nports = { endpoint = 0 }',
            "ports = { endpoint = 0 }",
            '"12" is no account: it has twelve digits',
        ),
        (
            "proxy = { max_connections_percent = 0 }\nports = { endpoint = 0 }",
            "ports = { endpoint = 0 }",
            "[platform] proxy.max_connections_percent: expected integer >= 1, got 0",
        ),
        ("ports = { console = 80_000 }", "ports = { endpoint = 0 }", "ports.console: a port is 0"),
        (
            "environment = { TABLE = 3 }",
            'environment = { TABLE = "events" }',
            "[functions.search] environment: expected string, got integer",
        ),
        (
            'queue = "event"',
            'queue = "events"',
            ', line 37: [[mappings]] number 1 queue: there is no [queues.event]; did you mean "events"?',
        ),
        (
            'function = "serch"',
            'function = "search"',
            '[[routes]] number 1 function: there is no [functions.serch]; did you mean "search"?',
        ),
        (
            'dead_letter_queue = "dlq"',
            'dead_letter_queue = "events-dlq"',
            "[queues.events] redrive.dead_letter_queue: there is no [queues.dlq]",
        ),
        (
            "dead_letter = 1, dead_letter_queue",
            "dead_letter_queue",
            "[queues.events] redrive.dead_letter: there is no such key",
        ),
        (
            'layers = ["shard"]',
            'layers = ["shared"]',
            ', line 25: [functions.events] layers: there is no [layers.shard]; did you mean "shared"?',
        ),
        ('layers = ["shared", "shared"]', 'layers = ["shared"]', 'layers: "shared" is there twice'),
        ('layers = ["a", "b", "c", "d", "e", "f"]', 'layers = ["shared"]', "at most 5 layers, and these are 6"),
        ('code = "layers/shard"', 'code = "layers/shared"', "[layers.shared] code: there is no folder or zip archive"),
        ('code = "pyton"', 'code = "python"', 'did you mean "python"?'),
        (
            'handler = "event.handle"',
            'handler = "events.handle"',
            '[functions.events] handler: "event.handle" would be in event.py',
        ),
        ('handler = "events"', 'handler = "events.handle"', "has no dot"),
        ('entry = "src/serch.ts"', 'entry = "src/search.ts"', "[functions.search] entry: there is no file"),
        (
            'runtime = "ruby3.3"',
            'runtime = "python3.12"',
            '[functions.events] runtime: runtime "ruby3.3" is not served',
        ),
        ('init_sql = "shema.sql"', 'init_sql = "schema.sql"', "[database] init_sql: there is no file"),
        (
            "ports = { endpiont = 0 }",
            "ports = { endpoint = 0 }",
            ', line 7: [platform] ports.endpiont: there is no such key; did you mean "endpoint"?',
        ),
        (
            'ports = { endpoint = 0 }\nfunctions = { ecr_registry = "http://r" }',
            "ports = { endpoint = 0 }",
            '[platform] functions.ecr_registry: "http://r" is no HOST:PORT of a registry',
        ),
        (
            'ports = { endpoint = 0 }\nendpoint = { allowed_origins = ["http://localhost:3000/"] }',
            "ports = { endpoint = 0 }",
            '[platform] endpoint.allowed_origins: "http://localhost:3000/" is no origin as browsers write them: http://',
        ),
        ("ports = { http = 6432 }", "ports = { endpoint = 0 }", "port 6432 is that of ports.http already"),
        (
            "[bucket.uploads]",
            "[buckets.uploads]",
            ', line 50: [bucket]: there is no such table; did you mean "buckets"?',
        ),
        ("[buckets.Up]", "[buckets.uploads]", "is no name for a bucket: 3 to 63 lower-case letters"),
        ("[mappings]", "[[mappings]]", "[mappings]: it is a list of tables: write [[mappings]]"),
        ('route = "GTE /x"', 'route = "GET /posts/{id}"', '[[routes]] number 1 route: "GTE /x" is no route key'),
        (
            "batch_size = 100",
            "batch_size = 10",
            "[[mappings]] number 1 batch_size: a batch_size over 10 needs a batch_window_s",
        ),
        (
            "batch_size = 10\nfilters = ['{\"body\": [5]}', '{\"headers\": [5]}']",
            "batch_size = 10",
            "[[mappings]] number 1 filters: number 2 is no filter pattern: Filters of this source ask for `body`",
        ),
        (
            "batch_size = 10\npollers_min = 2",
            "batch_size = 10",
            "[[mappings]] number 1 pollers_min: provisioned mode needs both pollers_min and pollers_max",
        ),
        (
            "batch_size = 10\npollers_min = 3\npollers_max = 2",
            "batch_size = 10",
            "[[mappings]] number 1 pollers_max: it must be at least pollers_min, which is 3",
        ),
        (
            "batch_size = 10\npollers_min = 2\npollers_max = 2\nconcurrency_max = 2",
            "batch_size = 10",
            "[[mappings]] number 1 concurrency_max: it does not go with provisioned mode",
        ),
        ("visibility_timeout_s = 2", "visibility_timeout_s = 60", "is less than the function's timeout_s (3)"),
        ('sort_key = "sk:X"', 'sort_key = "sk:N"', '"sk:X" is no key'),
        ("partition = 1", 'partition_key = "pk"', 'partition: there is no such key; did you mean "partition_key"?'),
    ],
)
def test_what_is_wrong_is_one_message_with_its_place_and_remedy(
    folder: Path, wrong: str, right: str, message: str
) -> None:
    assert right in WHOLE
    text = WHOLE.replace(right, wrong, 1)

    refused = load(folder, text)

    assert message in refused
    assert refused.startswith(str(folder / "workshape.toml"))
    assert "\n" not in refused


def test_a_missing_key_without_a_default_is_named(folder: Path) -> None:
    assert "[functions.x]: runtime is missing" in load(folder, '[functions.x]\nhandler = "a.b"\ncode = "python"')


IMAGE = """
[functions.report]
package_type = "Image"
image = "oci:images/report:v1"
image_config = { command = ["app.handler"] }
"""


def test_a_function_of_an_image_has_no_runtime_and_its_path_starts_at_the_file(folder: Path) -> None:
    (folder / "images" / "report").mkdir(parents=True)
    (folder / "workshape.toml").write_text(IMAGE)

    (function,) = load_app(folder)[0].functions

    assert function.image == f"oci:{folder / 'images' / 'report'}:v1"
    assert function.image_config == ImageConfig(command=("app.handler",))
    assert (function.runtime, function.handler, function.code) == ("", "", "")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (IMAGE.replace("images/report", "images/rapport"), "there is no image layout folder and no archive"),
        (IMAGE.replace("oci:images/report:v1", "report:v1"), "image: it reads oci:PATH or HOST/NAME[:TAG]"),
        (IMAGE.replace("oci:images/report:v1", f"{'1' * 12}.dkr.ecr.us-east-1.amazonaws.com/x"), "ecr_registry"),
        (IMAGE + 'handler = "a.b"', "[functions.report] handler: a function of an image has no handler"),
        (IMAGE + 'entry = "a.ts"', "[functions.report] entry: a function of an image has no entry"),
        ('[functions.report]\npackage_type = "Image"', "[functions.report]: image is missing"),
        (IMAGE.replace('package_type = "Image"\n', ""), "[functions.report]: runtime is missing"),
        (IMAGE.replace('"Image"', '"Docker"'), "package_type: expected one of Zip, Image, got 'Docker'"),
        (IMAGE.replace("command", "cmd"), "[functions.report] image_config.cmd: there is no such key"),
    ],
)
def test_what_is_wrong_with_an_image_is_said(folder: Path, changed: str, message: str) -> None:
    (folder / "images" / "report").mkdir(parents=True)

    assert message in load(folder, changed)


def test_an_image_needs_its_package_type(folder: Path) -> None:
    text = '[functions.x]\nruntime = "provided"\nhandler = "x"\ncode = "python"\nimage = "oci:x"'

    assert '[functions.x] image: it needs package_type = "Image"' in load(folder, text)


def test_a_syntax_error_tells_its_line(folder: Path) -> None:
    assert "line 2" in load(folder, "[app]\nname = ")


def test_a_function_that_uses_a_database_needs_one(folder: Path) -> None:
    assert "there is no [database] table" in load(folder, WHOLE.partition("[database]")[0])


def test_readers_are_servers_that_follow_another(folder: Path) -> None:
    url = 'url = "postgresql://app:secret@db.example:5433/shop"\n'

    def told(readers: str, beside: str = url) -> str:
        return load(folder, f"[database]\n{beside}readers = {readers}")

    assert "[database] readers: addresses go with url" in told('["db2.example"]', beside="")
    assert "[database] readers: with url it is the addresses" in told("2")
    assert "[database] readers" in told("6", beside="")
    assert "[database] readers: 'db2:x' reads HOST:PORT, or HOST" in told('["db2:x"]')
    for twice in ('["db.example:5433"]', '["db2.example", "db2.example:5432"]'):
        assert "is named already" in told(twice)
    (folder / "workshape.toml").write_text(f'[database]\n{url}readers = ["db.example", "db2.example:5433"]')
    app, _ = load_app(folder)
    assert app.database is not None
    assert app.database.readers == ("db.example", "db2.example:5433")


def test_a_handler_may_be_in_a_package_or_in_a_folder(folder: Path) -> None:
    (folder / "python" / "jobs").mkdir()
    (folder / "python" / "jobs" / "__init__.py").write_text("")
    (folder / "python" / "nested.mjs").write_text("")
    text = (
        '[functions.a]\nruntime = "python3.12"\nhandler = "jobs.handle"\ncode = "python"\n'
        '[functions.b]\nruntime = "nodejs22.x"\nhandler = "nested.a.b"\ncode = "python"\n'
    )

    app, _ = parse_app(text.encode(), folder / "workshape.toml")

    assert [function.name for function in app.functions] == ["a", "b"]


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.recursive(
            st.one_of(st.integers(), st.text(max_size=8), st.booleans(), st.floats(allow_nan=False)),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=8), inner, max_size=2),
            max_leaves=4,
        ),
        max_size=3,
    )
)
def test_whatever_a_table_holds_it_is_read_or_refused(entries: dict[str, object]) -> None:
    for table in ("functions", "queues", "mappings", "routes", "tables", "buckets", "database", "platform", "app"):
        text = msgspec.toml.encode({table: entries})
        with contextlib.suppress(TomlInvalid):
            parse_app(text, Path("/nowhere/workshape.toml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[app]\n[functions.f\n", ", line 2: not TOML: Expected ']' at the end of a table declaration (column 13)"),
        ("[functions.f]\n[functions.f]\n", ", line 2: not TOML: Cannot declare [functions.f] twice (column 13)"),
        ("[app]\nname = ", ", line 2: not TOML: Invalid value (its end)"),
    ],
)
def test_what_is_no_toml_has_its_line_where_all_else_has_it(folder: Path, text: str, message: str) -> None:
    assert load(folder, text).endswith(message)
