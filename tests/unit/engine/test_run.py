"""One step, one wait, one end: what the engine asks of a step, in which order, and what it writes down."""

from __future__ import annotations

from bennu.core.record import Kind
from bennu.core.states import State, Status
from bennu.core.verdict import Verdict, failed, opened, shut, unknown
from bennu.engine import lock
from bennu.engine.endings import left_alone
from bennu.engine.progress import Mark, Progress
from bennu.engine.run import Engine
from bennu.engine.turns import Wishes
from bennu.errors import BennuError, DependencyDown, Interrupted, LockLost, Paused, StoppedSafe
from bennu.phases.base import Effect, GateStep, Monitor, Pen, StepAborted, World
from tests.unit.engine.desk import BOB, OPENING, Desk, Plain


def begun(desk: Desk, *steps: Plain, **more: object) -> Engine:
    journal = desk.journal()
    lock.begin(journal, OPENING)
    return desk.engine(journal, *steps, **more)  # type: ignore[arg-type]


def run(engine: Engine) -> tuple[list[Progress], Exception | None]:
    seen: list[Progress] = []
    engine.talk = seen.append
    try:
        for progress in engine.drive():
            seen.append(progress)
    except BennuError as error:
        return seen, error
    return seen, None


def kinds(engine: Engine, step: str) -> list[Kind]:
    return [record.kind for record in engine.lookout.journal.records if record.step == step]


def test_a_step_is_observed_intended_acted_awaited_and_recorded() -> None:
    desk, step = Desk(), Plain("provisioning.a", commit=True)
    engine = begun(desk, step)
    seen, error = run(engine)
    assert error is None
    assert step.log == ["observe", "act", "gate"]
    assert kinds(engine, "provisioning.a") == [Kind.INTENT, Kind.FACT, Kind.DONE]
    assert desk.remote.history[-1].commit.trailers == {
        "Bennu-Rotation": "prod-us-east-1-1", "Bennu-Step": "provisioning.a", "Bennu-Epoch": "1", "Bennu-Ticket": "CHG1",
    }  # fmt: skip
    assert [progress.text for progress in seen if progress.mark is Mark.TALK] == ["acting provisioning.a"]
    assert engine.lookout.journal.standing.facts["acted"] == "provisioning.a"


def test_a_step_that_is_so_already_is_neither_intended_nor_acted() -> None:
    step = Plain("provisioning.a", already=True)
    engine = begun(Desk(), step)
    seen, _ = run(engine)
    assert step.log == ["observe", "gate"]
    assert kinds(engine, "provisioning.a") == [Kind.DONE]
    assert engine.lookout.journal.standing.facts["seen"] == "true"
    assert [progress.mark for progress in seen if progress.step == "provisioning.a"][-1] is Mark.SKIP


def test_a_step_that_is_done_is_not_asked_again() -> None:
    desk, first = Desk(), Plain("provisioning.a")
    engine = begun(desk, first, Plain("provisioning.b", lambda world: failed("no")))
    run(engine)
    again = Plain("provisioning.a")
    journal = desk.journal()
    lock.take(journal)
    _, error = run(desk.engine(journal, again, Plain("provisioning.b")))
    assert (error, again.log) == (None, [])


def test_a_gate_is_polled_until_it_opens() -> None:
    answers = [shut("not yet"), unknown("who knows"), opened("now")]
    engine = begun(Desk(), Plain("provisioning.a", lambda world: answers.pop(0)))
    seen, error = run(engine)
    assert error is None
    assert [progress.text for progress in seen if progress.mark is Mark.WAIT] == ["not yet", "who knows", "now"]


def test_a_system_that_does_not_answer_is_waited_for() -> None:
    silences = [1, 1]

    def gate(world: World) -> Verdict:
        if silences:
            silences.pop()
            raise DependencyDown("nobody answers")
        return opened("there it is")

    assert run(begun(Desk(), Plain("provisioning.a", gate)))[1] is None


def test_a_gate_that_stays_shut_ends_at_its_deadline_with_what_was_awaited() -> None:
    engine = begun(Desk(), Plain("provisioning.a", lambda world: shut("not yet")))
    _, error = run(engine)
    assert isinstance(error, StoppedSafe)
    assert "waited 5 s for a step: not yet" in error.message
    standing = engine.lookout.journal.standing
    assert (standing.state, standing.status, standing.lock) == (State.PROVISIONING, Status.FAILED, None)


def test_a_wish_shortens_or_lengthens_the_deadline() -> None:
    _, error = run(begun(Desk(), Plain("provisioning.a", lambda world: shut("not yet")), wishes=Wishes(timeout_s=20)))
    assert "waited 20 s" in str(error)


def test_a_failed_gate_ends_at_once() -> None:
    desk = Desk()
    begin = desk.clock.boot()
    _, error = run(begun(desk, Plain("provisioning.a", lambda world: failed("broken"))))
    assert "broken" in str(error)
    assert desk.clock.boot() == begin


def test_a_retreat_is_run_and_the_phase_begins_anew() -> None:
    desk, back = Desk(), Plain("provisioning.back")
    engine = begun(desk, Plain("provisioning.a"), Plain("provisioning.b", lambda world: failed("broken")), retreat=(back,))
    run(engine)
    assert back.log == ["observe", "act", "gate"]
    assert not engine.lookout.journal.standing.done


def test_a_step_that_put_everything_back_itself_makes_the_phase_retreat() -> None:
    class Gives(Plain):
        def act(self, world: World, pen: Pen) -> Effect:
            raise StepAborted("put back")

    back = Plain("provisioning.back")
    _, error = run(begun(Desk(), Gives("provisioning.a"), retreat=(back,)))
    assert "put back" in str(error)
    assert "act" in back.log


def test_a_monitor_counts_what_it_misses_in_a_row() -> None:
    answers = [unknown("?"), unknown("?"), opened("fine"), unknown("?"), unknown("?"), opened("fine")] + [unknown("gone")] * 3
    monitor = Monitor("the thing", lambda world: answers.pop(0))
    left = len(answers) * 10

    def gate(world: World) -> Verdict:
        return shut("waiting") if left else opened("never")

    engine = begun(Desk(), Plain("provisioning.a", gate), monitors=(monitor,), wishes=Wishes(timeout_s=600))
    _, error = run(engine)
    assert "the thing: gone (3 times in a row)" in str(error)
    assert answers == []


def test_a_gate_step_is_never_an_intent() -> None:
    class Waits(GateStep):
        id = "provisioning.wait"
        title = "waiting"

    desk = Desk()
    journal = desk.journal()
    lock.begin(journal, OPENING)
    engine = desk.engine(journal, Waits())
    run(engine)
    assert kinds(engine, "provisioning.wait") == [Kind.DONE]


def test_a_signal_is_seen_before_a_step_begins() -> None:
    desk, step = Desk(), Plain("provisioning.a")
    engine = begun(desk, step)
    desk.stop.set(15)
    _, error = run(engine)
    assert isinstance(error, Interrupted)
    assert (error.code, step.log) == (143, [])


def test_the_last_record_ends_rotation_and_lock_together() -> None:
    desk = Desk()
    engine = begun(desk, Plain("provisioning.a"))
    seen, error = run(engine)
    assert (error, seen[-1].mark) == (None, Mark.END)
    kinds_ = [record.kind for record in engine.lookout.journal.records[-2:]]
    assert kinds_ == [Kind.STATE, Kind.RELEASE]
    assert desk.remote.journals["prod/us-east-1"][-1].lines.count("\n") == 2


def test_stop_after_ends_paused_and_free() -> None:
    engine = begun(Desk(), Plain("provisioning.a"), wishes=Wishes(stop_after=State.PROVISIONING))
    _, error = run(engine)
    assert isinstance(error, Paused)
    standing = engine.lookout.journal.standing
    assert (standing.status, standing.lock) == (Status.PAUSED, None)
    assert standing.done == {"provisioning.a"}


def test_whoever_lost_the_lock_stops_before_the_next_act() -> None:
    desk, second = Desk(), Plain("provisioning.b")

    def stolen(world: World) -> Verdict:
        thief = desk.journal(BOB)
        standing = lock.fresh(thief)
        assert standing.lock is not None
        lock.take(thief, over=standing.lock.id)
        return opened("meanwhile")

    _, error = run(begun(desk, Plain("provisioning.a", stolen), second))
    assert isinstance(error, LockLost)
    assert second.log == []


def test_an_error_is_written_down_and_the_lock_let_go() -> None:
    engine = begun(Desk())
    left_alone(engine.lookout.journal, BennuError("out of luck"))
    standing = engine.lookout.journal.standing
    assert (standing.status, standing.reason, standing.lock) == (Status.FAILED, "out of luck", None)


def test_an_error_while_the_remote_is_down_stays_what_it_was() -> None:
    desk = Desk()
    engine = begun(desk)
    desk.remote.down = True
    left_alone(engine.lookout.journal, BennuError("out of luck"))
    assert engine.lookout.journal.standing.lock is not None
