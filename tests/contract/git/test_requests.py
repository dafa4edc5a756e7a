"""The contract of ``RequestBox``, of real Git and of the one in memory."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from bennu.adapters.requests_box import GitRequestBox
from bennu.errors import DependencyDown
from bennu.ports.repository import Reply, Request
from tests.contract.git.grounds import GROUP, OTHER, Ground
from tests.contract.git.remotes import Bare, git, repository


def asked(name: str, verb: str = "promote") -> Request:
    return Request(name, verb, "ada@there", "2026-01-01T00:00:00+00:00", {"why": "green"})


def test_a_request_left_on_one_laptop_is_pending_on_another(place: Ground) -> None:
    asker, holder = place.box(place.laptop()), place.box(place.laptop())
    assert holder.pending(GROUP) == ()
    asker.post(GROUP, asked("one"))
    asker.post(GROUP, asked("two", "rollback"))
    assert holder.pending(GROUP) == (asked("one"), asked("two", "rollback"))
    assert holder.pending(OTHER) == ()


def test_an_answer_reaches_the_asker_and_ends_the_request(place: Ground) -> None:
    asker, holder = place.box(place.laptop()), place.box(place.laptop())
    asker.post(GROUP, asked("one"))
    assert asker.answer(GROUP, "one") is None
    holder.reply(GROUP, Reply("one", False, "makes no sense in S3"))
    assert asker.answer(GROUP, "one") == Reply("one", False, "makes no sense in S3")
    assert asker.answer(GROUP, "two") is None
    assert holder.pending(GROUP) == ()


def test_groups_do_not_see_each_others_requests(place: Ground) -> None:
    box = place.box(place.laptop())
    box.post(GROUP, asked("one"))
    box.post(OTHER, asked("two"))
    assert [one.id for one in box.pending(GROUP)] == ["one"]
    assert [one.id for one in box.pending(OTHER)] == ["two"]


def test_requests_left_at_the_same_moment_are_all_kept(place: Ground) -> None:
    boxes = [place.box(place.laptop()) for _ in range(4)]
    failed: list[DependencyDown] = []

    def post(number: int) -> None:
        try:
            boxes[number].post(GROUP, asked(f"request-{number}"))
        except DependencyDown as error:
            failed.append(error)

    threads = [threading.Thread(target=post, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert {one.id for one in boxes[0].pending(GROUP)} == {f"request-{number}" for number in range(4)}


def test_with_the_remote_down_the_holder_sees_nothing_and_the_asker_is_told(place: Ground) -> None:
    box = place.box(place.laptop())
    box.post(GROUP, asked("one"))
    place.down()
    assert box.pending(GROUP) == ()
    with pytest.raises(DependencyDown, match="does not answer"):
        box.post(GROUP, asked("two"))
    with pytest.raises(DependencyDown, match="does not answer"):
        box.answer(GROUP, "one")
    place.up()
    assert [one.id for one in box.pending(GROUP)] == ["one"]


def test_what_somebody_wrote_to_the_ref_by_hand_is_passed_over(bare: Bare, tmp_path: Path) -> None:
    ref = f"refs/notes/bennu-requests/{GROUP}"
    box = GitRequestBox(repository(tmp_path / "laptop", str(bare.path)))
    box.post(GROUP, asked("one"))
    tip = bare.tip(ref)
    for words in ("", "no JSON", "[]", '{"request": {}}', '{"request": {"id": 1}}', '{"reply": {"id": "one"}}', '{"request": null}', "[" * 5000):
        tree = git(bare.path, "mktree").strip()
        tip = git(bare.path, "-c", "user.name=x", "-c", "user.email=x@y", "commit-tree", tree, "-p", tip, "-m", "by hand", "-m", words or " ").strip()
    git(bare.path, "update-ref", ref, tip)
    assert box.pending(GROUP) == (asked("one"),)
    box.reply(GROUP, Reply("one", True, "done"))
    assert box.pending(GROUP) == ()


def test_a_deleted_ref_is_an_empty_box(bare: Bare, tmp_path: Path) -> None:
    box = GitRequestBox(repository(tmp_path / "laptop", str(bare.path)))
    box.post(GROUP, asked("one"))
    bare.delete(f"refs/notes/bennu-requests/{GROUP}")
    assert box.pending(GROUP) == ()
    box.post(GROUP, asked("two"))
    assert box.pending(GROUP) == (asked("two"),)
