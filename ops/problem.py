"""What a person has to put right: one line that says what is missing and what to type."""

import sys
from collections.abc import Callable


class Problem(Exception):
    """Stops a command; its text is the whole message, without a traceback."""


def exit_with(main: Callable[[], int]) -> None:
    """Run a command line's main and leave with its status; a Problem is printed as its one line."""
    try:
        status = main()
    except Problem as problem:
        print(f"sonde: {problem}", file=sys.stderr, flush=True)
        status = 1
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)
