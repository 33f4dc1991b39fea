"""`workshape`: the commands, one file each."""

import typer

from workshape.cli.doctor import doctor
from workshape.cli.down import down
from workshape.cli.invoke import invoke
from workshape.cli.kill_connections import kill_connections
from workshape.cli.logs import logs
from workshape.cli.proxy import proxy
from workshape.cli.status import status
from workshape.cli.throttle import throttle
from workshape.cli.up import up
from workshape.cli.verdict import verdict

app = typer.Typer(
    name="workshape",
    help="Tell me the shape of the work first.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in (up, down, status, invoke, logs, throttle, kill_connections, verdict, doctor):
    app.command()(command)
app.add_typer(proxy)
