"""What an app's functions will not run on here as they ask: said at `up`, not at the first invocation."""

from collections import defaultdict

from workshape.app.model import App
from workshape.functions.launch.interpreters import InterpreterMissing, Interpreters, RuntimeUnknown


async def runtime_notes(app: App, *, allow_substitute: bool) -> list[tuple[str, str]]:
    """Return label and sentence for each runtime that is missing, or for which another version stands in."""
    functions = defaultdict(list)
    for function in app.functions:
        if function.runtime and not function.runtime.startswith("provided"):
            functions[function.runtime].append(function.name)
    interpreters = Interpreters(allow_substitute=allow_substitute)
    notes = []
    for runtime, names in functions.items():
        try:
            found = await interpreters.find(runtime)
        except (InterpreterMissing, RuntimeUnknown) as error:
            notes.append(("missing", f"{', '.join(names)} cannot run: {error}"))
        else:
            if found.note:
                notes.append(("instead", found.note))
    return notes
