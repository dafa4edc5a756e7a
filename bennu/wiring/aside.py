"""A thread for what talks to Git while a run goes on looking."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def in_a_thread(job: Callable[[], T], /) -> Future[T]:
    """The port ``engine.lookout.Aside``: one that ends with the process, whatever it waits for."""
    done: Future[T] = Future()

    def do() -> None:
        try:
            done.set_result(job())
        except BaseException as error:  # raised where it is waited for
            done.set_exception(error)

    threading.Thread(target=do, name="bennu-git", daemon=True).start()
    return done
