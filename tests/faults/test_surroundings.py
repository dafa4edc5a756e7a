"""What stands around the servers goes wrong in the middle: a password, the target's memory, a client that follows no pointer."""

from __future__ import annotations

import pytest

from tests.faults.stage import Case, sound
from tests.faults.tool import Stop

pytestmark = pytest.mark.faults

WRONG = "guessed-wrong"


@pytest.mark.parametrize("after", ["source.pause", "source.fence", "target.make_master"])
def test_a_resume_with_the_wrong_password_changes_nothing(case: Case, after: str) -> None:
    assert case.tool(Stop(after, after=True)).ended() == -9
    roles = (case.source.role()[0], case.target.role()[0])
    tool = case.tool(env={"REDIS_PASSWORD": WRONG})
    assert tool.ended() == 8, tool.story()
    assert "refuses the password" in tool.end["message"]
    assert WRONG not in tool.story()
    assert (case.source.role()[0], case.target.role()[0]) == roles
    case.finish()
    assert sound(case.judged(), "target")


def test_an_old_master_that_cannot_log_in_at_the_new_one_is_told_of(case: Case) -> None:
    tool = case.held(Stop("source.attach", signal="SIGSTOP"))
    case.source.ask("CONFIG", "SET", "masterauth", WRONG)
    tool.wake()
    assert tool.ended() == 0, tool.story()
    assert any("does not follow the new one yet" in line for line in tool.told)
    case.users_go_on()
    case.source.ask("CONFIG", "SET", "masterauth", "open-sesame")
    assert sound(case.judged(), "target")


def test_a_target_without_memory_says_so_and_goes_on_once_it_has_some(case: Case) -> None:
    tool = case.held(Stop("target.make_master", signal="SIGSTOP"))
    case.target.ask("CONFIG", "SET", "maxmemory", "1mb")
    tool.wake()
    assert tool.ended() == 7, tool.story()
    assert "OOM" in tool.end["message"]
    assert case.named() is case.target
    case.target.ask("CONFIG", "SET", "maxmemory", "0")
    case.users_go_on()
    case.finish()
    assert sound(case.judged(), "target")


def test_a_straggler_that_ignores_every_pointer_errs_and_loses_nothing(case: Case) -> None:
    own = case.folder / "straggler"
    own.write_text(case.pointer.read_text(encoding="utf-8"), encoding="utf-8")
    straggler = case.users.join(own)
    case.users_go_on()
    case.finish()
    seen = straggler.acknowledged
    case.users_go_on()
    assert seen > 0
    assert straggler.acknowledged == seen
    assert straggler.errors["READONLY"] > 0
    assert sound(case.judged(), "target")
