"""The verdict in words: every row of the resume table has a text and what a resume does by it, and what cannot be read is never guessed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from bennu.core.clusters import Colour
from bennu.core.outlook import DOES, Outlook, Scene, of_hand_over
from bennu.core.record import Kind, Record
from bennu.core.standing import Lock, Standing
from bennu.core.states import State, Status
from bennu.core.status import Ages, Announced, GroupStatus, Survey, ages, last_intent, lasted, summary
from bennu.core.switchover import Row, Server, Todo, decide
from tests.unit.core.test_resume_table import INTENT, SOURCES, TARGETS

MASTER = Server(is_master=True, link_up=False, run_id="run-s", replid="A", replid2="", offset=100, second_offset=-1)
REPLICA = Server(is_master=False, link_up=True, run_id="run-t", replid="A", replid2="", offset=100, second_offset=-1)
FENCED = replace(MASTER, is_master=False)
PROMOTED = replace(REPLICA, is_master=True, replid="B", replid2="A", second_offset=101)
SCENE = Scene(FENCED, REPLICA, INTENT, named=False, announced=True)


def scenes() -> list[Scene]:
    """Every combination of what can be seen, the servers that cannot be read among it."""
    found = []
    for source, target, named, intent in product((None, *SOURCES), (None, *TARGETS), (True, False), (INTENT, None)):
        found.append(Scene(source, target, intent, named, announced=intent is not None))
    return found


SCENES = scenes()


def test_every_row_is_reached_has_its_words_and_one_thing_to_do() -> None:
    told = {(row := decide(s.source, s.target, s.intent, bool(s.named))).row: row.todo for s in SCENES}
    rows = Counter(decide(s.source, s.target, s.intent, bool(s.named)).row for s in SCENES)
    assert set(rows) == set(Row)
    assert len({row.value for row in Row}) == len(Row)
    for scene in SCENES:
        decision = decide(scene.source, scene.target, scene.intent, bool(scene.named))
        assert told[decision.row] is decision.todo, "one row, two things to do"


def test_everything_that_may_be_done_has_words_and_an_exit_code() -> None:
    assert set(DOES) == set(Todo)
    assert {DOES[todo][1] for todo in (Todo.OPERATOR, Todo.DIVERGENT, Todo.UNREACHABLE)} == {7, 9, 8}


def test_each_verdict_names_its_row_and_why() -> None:
    for scene in SCENES:
        found = of_hand_over(scene)
        assert found.does
        assert found.why
        assert Row[found.row.upper().replace("-", "_")].value == found.condition
        assert found.code in (0, 5, 7, 8, 9)


def test_where_the_source_cannot_be_read_nothing_is_decided() -> None:
    assert {of_hand_over(scene).code for scene in SCENES if scene.source is None} == {8}


def test_where_the_target_cannot_be_read_only_an_open_source_of_the_announced_history_goes_on() -> None:
    for scene in SCENES:
        if scene.target is None and scene.source is not None:
            found = of_hand_over(scene)
            assert found.code == (5 if scene.source.is_master and found.todo == "retry" else 8), (scene, found)


@pytest.mark.parametrize("announced", [True, False])
def test_a_pointer_that_cannot_be_read_is_never_taken_for_one_that_names_nobody(announced: bool) -> None:
    found = of_hand_over(replace(SCENE, named=None, pointer=False, announced=announced, intent=INTENT if announced else None, source=MASTER))
    assert found.code == 8
    assert "cannot be read" in found.why


@pytest.mark.parametrize(
    ("scene", "code", "words"),
    [
        (SCENE, 0, "promotes"),
        (replace(SCENE, target=replace(REPLICA, offset=90)), 5, "makes the source master again"),
        (replace(SCENE, source=MASTER), 0, "hands over anew"),
        (replace(SCENE, source=MASTER, target=replace(REPLICA, link_up=False)), 5, "waits a little"),
        (replace(SCENE, source=MASTER, target=None), 5, "leaves the source master"),
        (replace(SCENE, target=PROMOTED, named=True), 0, "attaches the old master"),
        (replace(SCENE, target=PROMOTED, source=replace(FENCED, offset=120), named=False), 7, "keeps both sides in files"),
        (replace(SCENE, target=PROMOTED, source=replace(MASTER, offset=120), named=True), 7, "fences the source at once, keeps both sides"),
        (replace(SCENE, target=PROMOTED, source=MASTER, named=True), 0, "fences the source at once, attaches"),
        (replace(SCENE, target=PROMOTED, source=replace(FENCED, offset=120), named=True), 7, "keeps both sides in files"),
        (replace(SCENE, done=True, target=PROMOTED), 0, "records"),
        (replace(SCENE, intent=None, announced=False, source=MASTER), 0, "runs what is left of the pre-check"),
        (replace(SCENE, intent=None, announced=False), 7, "somebody else assigns roles"),
    ],
)
def test_what_a_resume_does_is_said_with_its_exit_code(scene: Scene, code: int, words: str) -> None:
    found = of_hand_over(scene)
    assert (found.code, words in found.does) == (code, True), found


# What whoever resumes is told first

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STANDING = Standing(
    rotation="prod-us-east-1-3", number=3, source=Colour.BLUE, target=Colour.GREEN, state=State.SWITCHOVER_LOCKED, status=Status.FAILED,
    reason="it was killed", lock=Lock("abc", "ann@one", (NOW - timedelta(minutes=12)).isoformat(), 4),
    heartbeat=(NOW - timedelta(seconds=42)).isoformat(), intent="switchover-locked.hand-over",
)  # fmt: skip


def _record(kind: Kind, step: str, rotation: str = STANDING.rotation) -> Record:
    return Record(kind, rotation, 4, (NOW - timedelta(seconds=50)).isoformat(), "n", "ann@one", step=step)


def test_the_last_intent_is_that_of_this_rotation_and_says_whether_its_end_is_recorded() -> None:
    records = [_record(Kind.INTENT, "a", "prod-us-east-1-2"), _record(Kind.INTENT, STANDING.intent), _record(Kind.HEARTBEAT, "")]
    found = last_intent(records, STANDING)
    assert found == Announced(STANDING.intent, "ann@one", records[1].at, 4, open=True)
    ended = last_intent(records, replace(STANDING, intent=""))
    assert ended is not None
    assert not ended.open
    assert last_intent(records[:1], STANDING) is None


def test_ages_are_by_this_clock_and_never_negative() -> None:
    ahead = replace(STANDING, heartbeat=(NOW + timedelta(hours=1)).isoformat())
    intent = last_intent([_record(Kind.INTENT, STANDING.intent)], STANDING)
    assert ages(STANDING, intent, (NOW - timedelta(hours=2)).isoformat(), NOW) == Ages(720.0, 42.0, 50.0, 7200.0)
    assert ages(ahead, None, "", NOW) == Ages(720.0, 0.0, None, None)
    assert ages(replace(STANDING, lock=None), None, "", NOW) == Ages()


@pytest.mark.parametrize(("seconds", "words"), [(3, "3s"), (99, "99s"), (720, "12m"), (3 * 3600 + 300, "3h05")])
def test_durations_are_short(seconds: float, words: str) -> None:
    assert lasted(seconds) == words


def test_whoever_resumes_is_told_state_holder_ages_intent_world_and_verdict() -> None:
    intent = last_intent([_record(Kind.INTENT, STANDING.intent)], STANDING)
    outlook = replace(of_hand_over(SCENE), roles="the source is fenced")
    fresh = (NOW - timedelta(hours=2)).isoformat()
    status = GroupStatus(
        "prod/us-east-1", STANDING, Survey(()), "", fresh, "no route to host", intent=intent, ages=ages(STANDING, intent, fresh, NOW), outlook=outlook
    )
    assert summary(status) == (
        "rotation prod-us-east-1-3 blue → green: SWITCHOVER_LOCKED (failed: it was killed)",
        "held by ann@one for 12m, last seen 42s ago (lock abc, epoch 4)",
        "last intent: switchover-locked.hand-over, 50s ago by ann@one",
        "from a clone that is 2h00 old: no route to host",
        "the world: the source is fenced",
        "a resume promotes the target, flips the pointers, and goes on: the source is fenced at 100 and the target has reached it",
    )
    free = replace(status, standing=replace(STANDING, lock=None), stale="", outlook=Outlook("stops", "because", 8))
    assert summary(free)[1] == "held by nobody"
    assert summary(free)[-1] == "a resume stops (exit 8): because"
