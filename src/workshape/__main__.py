"""`python -m workshape` is the command `workshape`."""

from workshape.cli.main import app

app(prog_name="workshape")
