"""Threads without threads: what is given to a crew is done by whoever gives it, at once or when somebody first looks at it, as the seed says. So a story is the same each time that it is told."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from random import Random
from typing import Any

from bennu.phases.crew import Crew


class _Later(Future[Any]):
    """Runs when its condition is first looked at, which every way of waiting does."""

    _todo: Callable[[], None] | None = None

    @property
    def _condition(self) -> Any:
        todo, self._todo = self._todo, None
        if todo is not None:
            todo()
        return self._real

    @_condition.setter
    def _condition(self, condition: Any) -> None:
        self._real = condition


class InlineCrew(Crew):
    """One after the other."""

    def __init__(self, size: int, rng: Random) -> None:
        super().__init__(size)
        self._rng = rng
        self._waiting: list[_Later] = []

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if kind is None or issubclass(kind, Exception):
            for one in self._waiting:
                one.done()

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
            future._todo = run
            self._waiting.append(future)
        return future


def crew_of(rng: Random) -> Callable[[int], Crew]:
    """Crews whose order *rng* chooses."""
    return lambda size: InlineCrew(size, rng)
