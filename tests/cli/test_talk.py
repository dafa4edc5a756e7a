"""The last words of a command: every error says what happened, what was changed, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bennu import errors
from bennu.cli.talk import told
from bennu.errors import BennuError, ConfigError, Interrupted


def every(of: type[BennuError] = BennuError) -> Iterator[type[BennuError]]:
    yield of
    for one in of.__subclasses__():
        if one.__module__ == errors.__name__:
            yield from every(one)


def made(kind: type[BennuError]) -> BennuError:
    if issubclass(kind, ConfigError):
        return kind("it is wrong", file="bennu.yaml")
    return Interrupted(2, "it is over", changed="nothing", next_step="") if kind is Interrupted else kind("it is wrong")


@pytest.mark.parametrize("kind", list(every()))
def test_an_error_that_knows_no_better_says_what_to_do_next_all_the_same(kind: type[BennuError]) -> None:
    happened, changed, following = told(made(kind)).splitlines()
    assert happened.removeprefix("bennu: ")
    assert changed.removeprefix("  changed: ")
    assert following.removeprefix("  next:    ")
