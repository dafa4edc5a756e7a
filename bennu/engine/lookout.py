"""What is kept in sight while a run waits or writes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from bennu.engine.journal import Journal
from bennu.engine.turns import Alarm, Counters, StopFlag
from bennu.engine.wake import Wake
from bennu.ports.repository import RequestBox

T = TypeVar("T")


class Aside(Protocol):
    """Who does a job that may take its time; one at a time."""

    def __call__(self, job: Callable[[], T], /) -> Future[T]:
        """The job's future."""


def at_once(job: Callable[[], T], /) -> Future[T]:
    """Here and now: the future is done."""
    done: Future[T] = Future()
    try:
        done.set_result(job())
    except Exception as error:
        done.set_exception(error)
    return done


@dataclass(frozen=True)
class Lookout:
    """What is kept in sight between two polls."""

    journal: Journal
    box: RequestBox
    stop: StopFlag
    counters: Counters
    wake: Wake
    alarm: Alarm = field(default_factory=Alarm)
    aside: Aside = at_once
