"""Who may say yes to what."""

from __future__ import annotations

import pytest

from bennu.core.consent import awaited, barred


@pytest.mark.parametrize(
    ("verb", "by", "required", "refused"),
    [
        ("promote", "ann@one", (), False),
        ("promote", "ann@one", ("drain",), False),
        ("promote", "ann@one", ("promote",), True),
        ("promote", "ann@two", ("promote",), False),  # by the whole name: whether it is the same ann, only a signature could say
        ("promote", "bob@two", ("promote", "drain"), False),
        ("drain", "ann@one", ("promote", "drain"), True),
        ("promote", "request", ("promote",), True),  # what an older Bennu wrote names nobody
        ("promote", "request", (), False),
        ("rollback", "ann@one", ("promote", "drain"), False),
    ],
)
def test_whoever_started_may_not_say_what_needs_a_second_person(verb: str, by: str, required: tuple[str, ...], refused: bool) -> None:
    words = barred(verb, by, "ann@one", required)
    assert bool(words) is refused
    assert not refused or ("ann@one" in words and f"{verb} needs a second person" in words)


def test_what_is_waited_for_says_who_may_not() -> None:
    assert awaited("promote", "ann@one", ()) == "waits for 'bennu rotate promote'"
    assert awaited("promote", "ann@one", ("promote",)) == "waits for 'bennu rotate promote' by somebody else than ann@one, who started the rotation"
