"""``bennu rotate resume`` (or ``rollback``) as a process that kills itself as soon as a named call was answered: ``python -m tests.scenario.struck resume blue.fence``.

The session is the real one, its systems are the real ones; only the critical section's connections pass a tap. No signal from outside can strike between two commands that are a millisecond apart.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bennu import wiring
from bennu.core.clusters import Colour
from bennu.wiring.systems import Built


class Struck:
    """A server of *colour*, or a connection to it: once *call* of that colour was answered, the process dies."""

    def __init__(self, real: Any, colour: Colour, call: str) -> None:
        self._real, self._colour, self._call = real, colour, call

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "critical":
            return self._critical
        found = getattr(self._real, attribute)
        return self._last(found) if f"{self._colour}.{attribute}" == self._call else found

    def _last(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*args: Any, **options: Any) -> None:
            real(*args, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        return asked

    @contextmanager
    def _critical(self, *args: Any, **options: Any) -> Iterator[Any]:
        with self._real.critical(*args, **options) as real:
            yield Struck(real, self._colour, self._call)


class StruckSession(wiring.Session):
    """A session whose Redis servers are tapped."""

    def __init__(self, real: wiring.Session, call: str) -> None:
        super().__init__(real.options, real.config, real.settings, real.group)
        found = real._built

        def redis(colour: Colour) -> Any:
            return Struck(found.systems.redis(colour), colour, call)

        self._tapped = replace(found, systems=replace(found.systems, redis=redis))

    @property
    def _built(self) -> Built:
        return self._tapped


def main() -> None:
    """Drive until struck."""
    verb, call = sys.argv[1:]
    here = StruckSession(wiring.session(wiring.Options(repo=Path.cwd(), no_input=True)), call)
    with wiring.resumed(here, wiring.wishes(auto_promote=True)) as engine:
        for progress in engine.roll_back() if verb == "rollback" else engine.drive():
            sys.stderr.write(f"{progress.mark} {progress.title} {progress.text}\n")


if __name__ == "__main__":
    main()
