"""Holds random conversations for as long as is wanted: `python -m tests.conversations --minutes 60`.

Each round has a seed, which is printed with what it finds: `--seed 7 --rounds 1` holds that round again.
`--replay FILE` holds one conversation, as it was printed.
"""

import argparse
import random
import sys
import time
from pathlib import Path

from tests.conversations import said
from tests.conversations.search import Search
from tests.conversations.stage import Differs
from tests.integration.pgproxy.conftest import new_server

SEEDS = 1 << 31
ROUND = 200  # conversations


def main() -> int:
    """Return 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.conversations", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="begin no round after so many")
    parser.add_argument("--rounds", type=int, default=1_000_000, help=f"at most, of {ROUND} conversations each")
    parser.add_argument("--seed", type=int, default=None, help="of the first round; each one after it has the next")
    parser.add_argument("--replay", type=Path, default=None, help="hold the conversation in this file, and end")
    options = parser.parse_args()
    with new_server() as server, Search(server) as search:
        if options.replay is not None:
            return _replay(search, options.replay)
        first = random.randrange(SEEDS) if options.seed is None else options.seed
        return _rounds(search, first, options.rounds, time.monotonic() + 60 * options.minutes)


def _rounds(search: Search, first: int, rounds: int, ends_at: float) -> int:
    found = 0
    for seed in range(first, first + rounds):
        if time.monotonic() > ends_at:
            break
        differs = search.look(seed, ROUND)
        if differs is not None:
            found += 1
            _say(f"seed {seed}: {differs}\n")
    _say(f"{search.stage.played} conversations from seed {first} on, {found} rounds with a difference\n")
    return 1 if found else 0


def _replay(search: Search, file: Path) -> int:
    text = file.read_text()
    conversation = eval(text[text.index("Conversation(") :], vars(said))
    try:
        search.play(conversation)
    except Differs as error:
        _say(f"{error}\n")
        return 1
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
