"""What pods take of the pointer against what is said of them: every pair of a way and a pod."""

from __future__ import annotations

import pytest

from bennu.core.pointer_reading import Reading, Taken, Way, borne_out, is_copy, slowest, within_budget

NOTHING, ENV, FILE = Taken(), Taken(env=True), Taken(file=True)
FROZEN, ROLLED = Taken(frozen=True), Taken(env=True, rolled=True)
COPY = Taken(copies=("pointer-5hk6f9mt2b",))


@pytest.mark.parametrize(
    ("way", "fits"),
    [
        (Way.WATCH, [NOTHING]),
        (Way.SERVICE, [NOTHING]),
        (Way.FILE, [FILE]),
        (Way.ENV, [ROLLED]),
    ],
)
def test_a_declaration_fits_pods_that_are_no_slower(way: Way, fits: list[Taken]) -> None:
    for taken in (NOTHING, ENV, FILE, FROZEN, ROLLED, COPY, Taken(file=True, rolled=True)):
        follows = taken in fits or (way is Way.ENV and taken.rolled and not taken.copies)
        assert borne_out(way, taken).is_open is follows, (way, taken)


@pytest.mark.parametrize(
    ("way", "taken", "words"),
    [
        (Way.WATCH, ENV, "changes at a restart only: declare env"),
        (Way.SERVICE, FILE, "mounts the pointer as a file: declare file"),
        (Way.WATCH, ROLLED, "Reloader would roll all its pods"),
        (Way.FILE, FROZEN, "by subPath, which the kubelet never updates"),
        (Way.FILE, NOTHING, "mounts no volume of the pointer"),
        (Way.ENV, ENV, "nothing restarts it at the flip"),
        (Way.ENV, COPY, "pointer-5hk6f9mt2b, a copy that no flip changes"),
    ],
)
def test_what_does_not_fit_says_what_to_change(way: Way, taken: Taken, words: str) -> None:
    verdict = borne_out(way, taken)
    assert verdict.failed
    assert words in verdict.reason


def test_a_copy_is_known_by_kustomizes_hash() -> None:
    assert is_copy("pointer-5hk6f9mt2b", "pointer")
    assert not any(is_copy(name, "pointer") for name in ("pointer", "pointer-a", "pointer-5hk6f9mt2", "pointer-aeiou01l3y", "my-pointer-5hk6f9mt2b"))


def test_the_slowest_app_is_named_and_a_measured_figure_outranks_the_ways() -> None:
    watch, file, env = Reading("a", Way.WATCH), Reading("b", Way.FILE), Reading("c", Way.ENV)
    assert slowest([watch, file, env]) is env
    assert slowest([watch, file, Reading("c", Way.ENV, measured_ms=20_000)]) is file
    assert slowest([]) is None
    assert [one.follows_ms for one in (watch, Reading("d", Way.SERVICE, "tcproute"), Reading("e", Way.SERVICE, "externalname"))] == [50, 1_000, 30_000]


def test_an_app_that_is_slower_than_the_promise_is_refused_in_seconds() -> None:
    assert within_budget(Reading("checkout", Way.WATCH), 2000).is_open
    refused = within_budget(Reading("checkout", Way.FILE), 2000)
    assert refused.failed
    assert refused.reason == "checkout (file) follows within 90 s, and at most 2 s of pause are promised (switchover.pause_budget)"
    assert within_budget(Reading("checkout", Way.FILE), 90_000).is_open
    assert within_budget(None, 1).is_open
