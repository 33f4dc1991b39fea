"""The proxy that only answers what the command line asks."""

import sys

from tests.fakes.serve import main

if __name__ == "__main__":
    main("proxy", sys.argv[1:])
