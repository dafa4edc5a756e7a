"""A server dies, freezes or restarts at a chosen place of the hand-over."""

from __future__ import annotations

import base64
import subprocess

import pytest

from tests.faults.process import Tool
from tests.faults.stage import Case, sound
from tests.faults.tool import Stop

pytestmark = pytest.mark.faults

BEFORE_THE_PROMOTION = ["source.pause", "target.reaches", "source.fence"]
BEHIND_THE_FENCE = [Stop("target.reaches", 2, signal="SIGSTOP"), Stop("target.make_master", signal="SIGSTOP")]


@pytest.mark.parametrize("point", BEFORE_THE_PROMOTION)
def test_a_target_that_dies_before_its_promotion_gives_the_source_back(case: Case, point: str) -> None:
    tool = case.held(Stop(point, signal="SIGSTOP"))
    case.target.stop()
    tool.wake()
    assert tool.ended() == 5, tool.story()
    case.users_go_on()
    assert case.named() is case.source
    case.target.start()
    case.finish()
    assert sound(case.judged(), "target")


@pytest.mark.parametrize("point", BEFORE_THE_PROMOTION)
def test_a_target_that_freezes_before_its_promotion_gives_the_source_back(case: Case, point: str) -> None:
    tool = case.held(Stop(point, signal="SIGSTOP"))
    case.target.freeze()
    tool.wake()
    # Also where the missed proof took the fence back: the replid that the source has since is in the journal, so that the next try, which cannot read the target, knows it.
    assert tool.ended() == 5, tool.story()
    case.users_go_on()
    assert case.named() is case.source
    case.target.thaw()
    case.finish()
    assert sound(case.judged(), "target")


@pytest.mark.parametrize("point", BEHIND_THE_FENCE, ids=str)
def test_a_target_that_freezes_between_proof_and_promotion_is_decided_when_it_can_be_read(case: Case, point: Stop) -> None:
    tool = case.held(point)
    case.target.freeze()
    tool.wake()
    # Before the proof was read it may have been missed: then the fence was taken back. Once the promotion went out, nobody can tell whether it arrived.
    assert tool.ended() in ((8,) if point.call == "target.make_master" else (5, 8)), tool.story()
    if case.source.role()[0] == "master":
        case.users_go_on()
        assert case.named() is case.source
        assert "the source is" in tool.end["changed"], tool.end
    else:
        assert case.named() is case.target
        assert "the source is fenced; the target cannot be read: nobody is known to accept writes" in tool.end["changed"], tool.end
        assert "a pointer names the target" in tool.end["changed"], tool.end
        # Run again with the target as it is: still nobody decides.
        assert case.tool().ended() == 8, case.tools[-1].story()
    case.target.thaw()
    case.finish()
    assert sound(case.judged(), "target")


def restarted_right_after_its_promotion(case: Case, reverse: str) -> Tool:
    """The target comes back with its data and without its history, the reverse link up or down: what the tool says of it."""
    tool = case.held(Stop("target.make_master", after=True, signal="SIGSTOP"))
    if reverse == "down":
        case.target.way.stall()
    case.target.crash()
    tool.wake()
    assert tool.ended() == 7, tool.story()
    return tool


@pytest.mark.parametrize("reverse", ["up", "down"])
def test_a_target_that_restarts_right_after_its_promotion_keeps_all_and_asks_an_operator(case: Case, reverse: str) -> None:
    tool = restarted_right_after_its_promotion(case, reverse)
    assert "not attached" in tool.end["message"]
    assert case.named() is case.target
    case.users_go_on()
    refused(case, tool)
    case.target.way.flow()
    case.rejoined()
    assert case.tool().ended() == 0, case.tools[-1].story()
    assert sound(case.judged(), "target")


@pytest.mark.parametrize("reverse", ["up", "down"])
def test_an_accepted_loss_attaches_an_old_master_that_nobody_can_compare(case: Case, reverse: str) -> None:
    tool = restarted_right_after_its_promotion(case, reverse)
    refused(case, tool)
    case.target.way.flow()
    case.users_go_on()
    again = case.tool(accepts_loss=True)
    assert again.ended() == 0, again.story()
    assert any("given up; kept: " in line for line in again.told)
    # All that was acknowledged is on both: what was given up was nothing but a history.
    assert sound(case.judged(), "target")


def test_what_the_old_master_has_alone_is_in_a_file_before_it_is_given_up(case: Case) -> None:
    assert case.tool(Stop("source.attach")).ended() == -9
    # Somebody opens the old master for a moment, and it acknowledges what the new one never gets.
    case.source.leads()
    assert case.source.ask("SET", "order-4711", "paid") == "OK"
    case.source.ask("REPLICAOF", "127.0.0.1", "1")
    tool = case.tool()
    assert tool.ended() == 7, tool.story()
    assert "1 keys that only it has" in tool.end["message"]
    refused(case, tool)
    assert case.source.ask("GET", "order-4711") == "paid"
    again = case.tool(accepts_loss=True)
    assert again.ended() == 0, again.story()
    (file,) = (case.folder / "state" / "checkpoints").glob("*.given-up.*.jsonl")
    assert base64.b64encode(b"order-4711").decode() in file.read_text(encoding="utf-8")
    found = case.judged()
    assert (found.lost, found.master) == (0, "target"), found
    assert case.source.ask("GET", "order-4711") is None


def refused(case: Case, tool: Tool) -> None:
    """Both sides are in files that ``sha256sum -c`` agrees with, and a plain resume says the same again and keeps nothing twice."""
    folder = case.folder / "state" / "checkpoints"
    kept = sorted([*folder.glob("*.old.*.jsonl"), *folder.glob("*.new.*.jsonl")])
    assert len(kept) == 2, tool.story()
    for file in kept:
        assert file.stat().st_mode & 0o777 == 0o600
        assert subprocess.run(["sha256sum", "-c", f"{file.name}.sha256"], cwd=file.parent, check=False, capture_output=True).returncode == 0
    again = case.tool()
    assert again.ended() == 7, again.story()
    assert again.end == tool.end
    assert sorted([*folder.glob("*.old.*.jsonl"), *folder.glob("*.new.*.jsonl")]) == kept


@pytest.mark.parametrize("reverse", ["up", "down"])
def test_a_target_that_restarts_between_promotion_and_manifest_comes_back_as_master(case: Case, reverse: str) -> None:
    tool = case.held(Stop("journal.advance", 5, signal="SIGSTOP"))
    if reverse == "down":
        case.target.way.stall()
    case.target.crash()
    case.users_go_on()
    tool.wake()
    assert tool.ended() == 0, tool.story()
    case.target.way.flow()
    assert sound(case.judged(), "target")


def test_a_target_that_dies_under_its_promotion_is_decided_by_no_machine(case: Case) -> None:
    tool = case.held(Stop("target.make_master", signal="SIGSTOP"))
    case.target.stop()
    tool.wake()
    assert tool.ended() == 8, tool.story()
    case.target.start()
    again = case.tool()
    assert again.ended() == 7, again.story()
    # An operator compares both, and promotes the target by hand.
    case.target.leads()
    case.rejoined()
    assert sound(case.judged(), "target")


@pytest.mark.parametrize("point", ["source.fence", "target.make_master"])
def test_a_source_that_restarts_after_the_pause_began(case: Case, point: str) -> None:
    tool = case.held(Stop(point, signal="SIGSTOP"))
    case.source.crash()
    tool.wake()
    assert tool.ended() in (0, 5, 8), tool.story()
    case.finish()
    assert sound(case.judged(), "target")


@pytest.mark.parametrize("point", ["source.fence", "target.make_master"])
def test_a_source_that_dies_after_the_pause_began_and_comes_back_later(case: Case, point: str) -> None:
    tool = case.held(Stop(point, signal="SIGSTOP"))
    case.source.stop()
    tool.wake()
    assert tool.ended() == 8, tool.story()
    case.source.start()
    case.finish()
    assert sound(case.judged(), "target")


def test_a_source_that_restarts_after_the_switch_comes_back_as_a_replica(case: Case) -> None:
    case.finish()
    case.source.crash()
    case.users_go_on()
    assert sound(case.judged(), "target")


def test_a_source_whose_configuration_cannot_be_written_is_not_fenced(case: Case) -> None:
    tool = case.held(Stop("source.fence", signal="SIGSTOP"))
    case.source.lose_config()
    tool.wake()
    assert tool.ended() == 5, tool.story()
    assert "could not be written" in tool.end["message"]
    case.users_go_on()
    case.source.find_config()
    case.source.crash()
    case.finish()
    assert sound(case.judged(), "target")


def test_a_source_that_lost_its_configuration_behind_the_fence_restarts_parked(case: Case) -> None:
    tool = case.held(Stop("source.attach", signal="SIGSTOP"))
    case.source.lose_config()
    tool.wake()
    assert tool.ended() == 0, tool.story()
    case.source.find_config()
    case.source.crash()
    assert case.source.role()[:3] == ["slave", "127.0.0.1", 1]
    case.users_go_on()
    case.rejoined()
    assert sound(case.judged(), "target")
