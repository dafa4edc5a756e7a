"""Threads without threads: what is given to a crew is done by whoever gives it, at once or when somebody first looks at it, as the seed says. So a story is the same each time that it is told."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from random import Random
from typing import Any

from bennu.phases.crew import Crew


class _Later(Future[Any]):
    """Asks its crew to catch up when its condition is first looked at, which every way of waiting does."""

    _crew: InlineCrew | None = None

    @property
    def _condition(self) -> Any:
        crew, self._crew = self._crew, None
        if crew is not None:
            crew.catch_up()
        return self._real

    @_condition.setter
    def _condition(self, condition: Any) -> None:
        self._real = condition


class InlineCrew(Crew):
    """One after the other."""

    def __init__(self, size: int, rng: Random) -> None:
        super().__init__(size)
        self._rng = rng
        self._waiting: list[Callable[[], None]] = []

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if kind is None or issubclass(kind, Exception):
            self.catch_up()

    def catch_up(self) -> None:
        """Do what waits, in the order in which it was given: who looks at many looks by their addresses."""
        while self._waiting:
            self._waiting.pop(0)()

    def gather(self) -> None:
        """There is nobody to wait for."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Now or later. A kill is nobody's result: it ends whoever runs it."""
        future = _Later()

        def run() -> None:
            try:
                result = fn(*args, **kwargs)
            except Exception as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        if self._rng.random() < 0.5:
            run()
        else:
            future._crew = self
            self._waiting.append(run)
        return future


def crew_of(rng: Random) -> Callable[[int], Crew]:
    """Crews whose order *rng* chooses."""
    return lambda size: InlineCrew(size, rng)
