"""The console script: the fastest answers first, then the whole command line, and the one place that catches."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """``bennu``. Exits with the code of ``bennu.errors``."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        # Before Typer is imported: scripts ask this often, and it costs 12 ms instead of 150.
        from bennu import __version__

        sys.stdout.write(f"bennu {__version__}\n")
        sys.exit(0)
    from bennu.cli.app import run

    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # `bennu … | head`: the reader has gone, which is no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
