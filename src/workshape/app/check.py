"""Whether an app hangs together: names, references, and what AWS would refuse. A core: it looks at no files."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from workshape.app.delivery_check import delivery_problems
from workshape.app.event_check import event_problems
from workshape.app.http_check import http_problems
from workshape.app.kafka_check import kafka_problems
from workshape.app.model import App, Database, Function, Mapping
from workshape.app.problem import Naming, Problem, no_function
from workshape.app.queue_check import NAME as QUEUE_NAME
from workshape.app.queue_check import queue_problems
from workshape.events.filters import BODY, compile_filters
from workshape.events.operators import InvalidPattern
from workshape.functions.configuration import RESERVED_VARIABLES
from workshape.functions.images.reference import InvalidImageReference, is_host, parse_reference
from workshape.functions.limits import ENVIRONMENT_VARIABLES_BYTES_MAX
from workshape.pgproxy.routes import POSTGRES_PORT, server_address
from workshape.settings import Ports, Settings
from workshape.toml_document import did_you_mean

RUNTIMES = re.compile(r"python3\.\d+|nodejs\d+\.x|provided(\.al2(023)?)?")
FUNCTION_NAME = Naming("a function", re.compile(r"[a-zA-Z0-9_-]{1,64}"), "1 to 64 letters, digits, - and _")
"""https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html"""
LAYER_NAME = Naming("a layer", re.compile(r"[a-zA-Z0-9_-]{1,140}"), "1 to 140 letters, digits, - and _")
"""https://docs.aws.amazon.com/lambda/latest/api/API_PublishLayerVersion.html"""
LAYERS_MAX = 5
"""https://docs.aws.amazon.com/lambda/latest/dg/chapter-layers.html"""
TABLE_NAME = Naming("a table", re.compile(r"[a-zA-Z0-9_.-]{3,255}"), "3 to 255 letters, digits, -, _ and .")
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html"""
BUCKET_NAME = Naming(
    "a bucket",
    re.compile(r"(?=.{3,63}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?"),
    "3 to 63 lower-case letters, digits, - and ., a letter or digit first and last",
)
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""
ORIGIN = re.compile(r"https?://[a-z0-9.:\[\]_-]+")
"""https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin"""
VARIABLE_NAME = Naming(
    "a variable", re.compile(r"[a-zA-Z][a-zA-Z0-9_]+"), "two or more letters, digits and _, a letter first"
)
"""https://docs.aws.amazon.com/lambda/latest/api/API_Environment.html"""
ACCOUNT = re.compile(r"\d{12}")
"""https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-identifiers.html"""
DATABASE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,50}")  # within PostgreSQL's 63 bytes, with room for a suffix of ours
QUEUE_POLLERS_MIN = 2
BATCH_SIZE_UNWINDOWED_MAX = 10
"""Beyond it a batch window of a second is needed.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""
PORT_MAX = 65_535


def problems(app: App, settings: Settings) -> Iterator[Problem]:
    """Everything that is wrong, in the order of the app."""
    yield from _settings_problems(settings)
    yield from _name_problems(app)
    for function in app.functions:
        yield from _package_problems(function, settings)
        yield from _function_problems(app, function)
    yield from queue_problems(app)
    for index, mapping in enumerate(app.mappings):
        yield from _mapping_problems(app, index, mapping)
    yield from http_problems(app)
    yield from event_problems(app)
    yield from delivery_problems(app)
    yield from kafka_problems(app)
    yield from _storage_problems(app)


def _settings_problems(settings: Settings) -> Iterator[Problem]:
    ports = settings.ports
    taken: dict[int, str] = {}
    for name in Ports.__struct_fields__:
        port = int(getattr(ports, name))
        place = ("platform", "ports", name)
        if not 0 <= port <= PORT_MAX:
            yield Problem(place, f"a port is 0 (any free one) to {PORT_MAX}, not {port}")
        elif port and port in taken:
            yield Problem(place, f"port {port} is that of ports.{taken[port]} already")
        taken[port] = name
    for name, words in (("default", ("moto",)), ("dynamodb", ("auto", "moto", "local"))):
        value = str(getattr(settings.upstream, name))
        if value not in words and not value.startswith(("http://", "https://")):
            choice = ", ".join(f'"{word}"' for word in words)
            yield Problem(("platform", "upstream", name), f'"{value}" is neither {choice} nor the address of a service')

    if not ACCOUNT.fullmatch(settings.account):
        yield Problem(("platform", "account"), f'"{settings.account}" is no account: it has twelve digits')
    registry = settings.functions.ecr_registry
    if registry and not is_host(registry):
        yield Problem(("platform", "functions", "ecr_registry"), f'"{registry}" is no HOST:PORT of a registry')
    for origin in settings.endpoint.allowed_origins:
        if not ORIGIN.fullmatch(origin):
            example = "as browsers write them: http://localhost:3000"
            yield Problem(("platform", "endpoint", "allowed_origins"), f'"{origin}" is no origin {example}')


def _name_problems(app: App) -> Iterator[Problem]:
    kinds = (
        ("functions", [function.name for function in app.functions], FUNCTION_NAME),
        ("layers", [layer.name for layer in app.layers], LAYER_NAME),
        ("queues", [queue.name for queue in app.queues], QUEUE_NAME),
        ("tables", [table.name for table in app.tables], TABLE_NAME),
        ("buckets", [bucket.name for bucket in app.buckets], BUCKET_NAME),
    )
    for table, names, naming in kinds:
        for name in names:
            if not naming.allows(name):
                yield Problem((table, name), naming.refusal(name))


def _package_problems(function: Function, settings: Settings) -> Iterator[Problem]:
    """What one package type must have, and the other must not."""
    place = ("functions", function.name)
    archive = ("runtime", "handler", "code")
    if function.package_type == "Zip":
        for key in archive:
            if not getattr(function, key):
                yield Problem(place, f"{key} is missing, and has no default")
        for key in ("image", "image_config"):
            if getattr(function, key) is not None:
                yield Problem((*place, key), 'it needs package_type = "Image"')
        return
    for key in (*archive, "entry", "requirements"):
        if getattr(function, key):
            yield Problem((*place, key), f"a function of an image has no {key}; what it runs is in the image")
    if not function.image:
        yield Problem(place, 'image is missing, and package_type = "Image" needs one')
        return
    try:
        parse_reference(function.image, ecr_registry=settings.functions.ecr_registry)
    except InvalidImageReference as error:
        yield Problem((*place, "image"), error.reason)


def _function_problems(app: App, function: Function) -> Iterator[Problem]:
    place = ("functions", function.name)
    if function.package_type == "Zip" and not RUNTIMES.fullmatch(function.runtime):
        what = f'runtime "{function.runtime}" is not served; python3.12, nodejs22.x and provided.al2023 are such'
        yield Problem((*place, "runtime"), what)
    if function.entry is not None and not function.runtime.startswith("nodejs"):
        yield Problem((*place, "entry"), f"only a nodejs runtime is bundled, and this is {function.runtime}")
    if function.requirements is not None and not function.runtime.startswith("python"):
        yield Problem((*place, "requirements"), f"only a python runtime has them, and this is {function.runtime}")
    yield from _layer_problems(app, function)
    yield from _variable_problems(function)
    if function.database is not None and app.database is None:
        what = 'there is no [database] table; add one, such as [database] name = "app"'
        yield Problem((*place, "database"), what)
    elif function.database == "proxy" and app.database is not None and not app.database.proxy:
        yield Problem((*place, "database"), '[database] proxy is false; write "direct" here, or take that out')


def _variable_problems(function: Function) -> Iterator[Problem]:
    place = ("functions", function.name, "environment")
    for name in function.environment:
        if name in RESERVED_VARIABLES:
            yield Problem((*place, name), "Lambda sets this variable itself, and refuses another value")
        elif not VARIABLE_NAME.allows(name):
            yield Problem((*place, name), VARIABLE_NAME.refusal(name))
    size = len(msgspec.json.encode(function.environment))
    if size > ENVIRONMENT_VARIABLES_BYTES_MAX:
        most = f"{ENVIRONMENT_VARIABLES_BYTES_MAX:,} are the most"
        yield Problem(place, f"its variables take {size:,} bytes as JSON; {most}")


def _layer_problems(app: App, function: Function) -> Iterator[Problem]:
    place = ("functions", function.name, "layers")
    names = [layer.name for layer in app.layers]
    if len(function.layers) > LAYERS_MAX:
        yield Problem(place, f"a function has at most {LAYERS_MAX} layers, and these are {len(function.layers)}")
    for index, name in enumerate(function.layers):
        if name not in names:
            yield Problem(place, f"there is no [layers.{name}]; {did_you_mean(name, names)}")
        elif name in function.layers[:index]:
            yield Problem(place, f'"{name}" is there twice')


def _mapping_problems(app: App, index: int, mapping: Mapping) -> Iterator[Problem]:
    place = ("mappings", index)
    queue = next((queue for queue in app.queues if queue.name == mapping.queue), None)
    function = app.function(mapping.function)
    if queue is None:
        known = did_you_mean(mapping.queue, [queue.name for queue in app.queues])
        yield Problem((*place, "queue"), f"there is no [queues.{mapping.queue}]; {known}")
    if function is None:
        yield no_function(app, (*place, "function"), mapping.function)
    if queue is not None and function is not None and queue.visibility_timeout_s < function.timeout_s:
        what = (
            f"the queue's visibility_timeout_s ({queue.visibility_timeout_s}) is less than the function's timeout_s "
            f"({function.timeout_s}), which Lambda refuses; AWS advises six times the function's"
        )
        yield Problem((*place, "queue"), what)
    if queue is not None and queue.fifo and (mapping.batch_window_s or mapping.batch_size > BATCH_SIZE_UNWINDOWED_MAX):
        what = f"of a FIFO queue a batch has at most {BATCH_SIZE_UNWINDOWED_MAX} messages, and no batch_window_s"
        yield Problem((*place, "batch_size"), what)
    elif mapping.batch_size > BATCH_SIZE_UNWINDOWED_MAX and mapping.batch_window_s < 1:
        what = f"a batch_size over {BATCH_SIZE_UNWINDOWED_MAX} needs a batch_window_s of at least 1"
        yield Problem((*place, "batch_size"), what)
    pairs = [(earlier.queue, earlier.function) for earlier in app.mappings[:index]]
    if (mapping.queue, mapping.function) in pairs:
        yield Problem((*place, "function"), f'"{mapping.queue}" is mapped to "{mapping.function}" twice')
    yield from _filter_problems(place, mapping)
    yield from _poller_problems(place, mapping)


def _filter_problems(place: tuple[str, int], mapping: Mapping) -> Iterator[Problem]:
    for number, pattern in enumerate(mapping.filters, 1):
        try:
            compile_filters((pattern,), BODY)
        except InvalidPattern as error:
            yield Problem((*place, "filters"), f"number {number} is no filter pattern: {error}")


def _poller_problems(place: tuple[str, int], mapping: Mapping) -> Iterator[Problem]:
    least, most = mapping.pollers_min, mapping.pollers_max
    if (least is None) != (most is None):
        yield Problem((*place, "pollers_min"), "provisioned mode needs both pollers_min and pollers_max")
    elif least is not None and most is not None:
        if most < least:
            yield Problem((*place, "pollers_max"), f"it must be at least pollers_min, which is {least}")
        if mapping.concurrency_max is not None:
            yield Problem((*place, "concurrency_max"), "it does not go with provisioned mode (pollers_min)")
        if least < QUEUE_POLLERS_MIN:
            yield Problem((*place, "pollers_min"), f"it is at least {QUEUE_POLLERS_MIN} for a queue")


def _storage_problems(app: App) -> Iterator[Problem]:
    for table in app.tables:
        if table.sort_key is not None and table.sort_key.name == table.partition_key.name:
            yield Problem(("tables", table.name, "sort_key"), "it is the partition key already")
    database = app.database
    if database is None:
        return
    if not DATABASE_NAME.fullmatch(database.name):
        what = f"{database.name!r} is no name for a database here: lower-case letters, digits and _, at most 51"
        yield Problem(("database", "name"), what)
    if database.url is not None:
        parts = urlsplit(database.url)
        if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or not parts.path.strip("/"):
            yield Problem(("database", "url"), "it reads postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
        if database.init_sql is not None:
            what = "it is run in the embedded server only; set up the server at your url yourself"
            yield Problem(("database", "init_sql"), what)
    yield from _reader_problems(database)


def _reader_problems(database: Database) -> Iterator[Problem]:
    place = ("database", "readers")
    if database.readers_at and database.url is None:
        yield Problem(place, "addresses go with url; of our server it is how many follow it")
        return
    if database.reader_count and database.url is not None:
        yield Problem(place, "with url it is the addresses of servers of yours that follow it")
    parts = urlsplit(database.url or "")
    known = {(parts.hostname, parts.port or POSTGRES_PORT)}
    for reader in database.readers_at:
        address = server_address(reader)
        if address is None:
            yield Problem(place, f"{reader!r} reads HOST:PORT, or HOST")
        elif address in known:
            yield Problem(place, f"{reader} is named already: a reader follows another server")
        known.add(address or ("", 0))
