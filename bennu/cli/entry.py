"""The console script: the fastest answers first, then the whole command line, and the one place that catches."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def main() -> None:
    """``bennu``. Exits with the code of ``bennu.errors``, whatever becomes of its streams."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        # Before Typer and the guard are imported: scripts ask this often, and it costs 12 ms instead of 150.
        from bennu import __version__

        if sys.stdout is not None:  # closed by `>&-`
            with suppress(OSError):
                os.write(1, f"bennu {__version__}\n".encode())
        sys.exit(0)
    from bennu.cli import streams

    streams.guard()
    code = 130
    try:
        from bennu.cli.app import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        pass  # in the middle of the last word
    finally:
        _ended()
    sys.exit(code)


def _ended() -> None:
    from bennu.cli import streams

    try:
        streams.end()
    except KeyboardInterrupt:
        # A reader who stands still, and an operator who has seen enough.
        os._exit(130)
