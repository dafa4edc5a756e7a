"""The contract of ``Repository``, of real Git (by path and over HTTP) and of the one in memory."""

from __future__ import annotations

import pytest

from bennu.errors import BennuError, DependencyDown, DurableStateError, GateRefused, LockLost, StoppedSafe
from bennu.ports.repository import Change, Edit, Journal
from tests.contract.git.grounds import GROUP, OTHER, Ground, record
from tests.contract.git.remotes import BINARY, CRLF, FOLDER, SCRIPT, SEED, STATE

MESSAGE = "Weights to 10 %\n\nbecause the gate opened\n\nBennu-Rotation: prod-us-east-1-1\nBennu-Step: canary-10\nBennu-Epoch: 1\n"


def change(*edits: tuple[str, str | None]) -> Change:
    return Change(tuple(Edit(path, text) for path, text in edits), MESSAGE)


# Reading


def test_a_fetch_brings_the_branch_and_says_when(place: Ground) -> None:
    laptop = place.laptop()
    freshness = laptop.fetch()
    assert freshness.problem == ""
    assert freshness.fetched_at is not None
    assert laptop.branch == "main"
    assert laptop.read(STATE) == SEED[STATE].decode()
    assert laptop.read("README.md") == "Schön\n"


def test_a_file_that_is_not_there_reads_as_none(place: Ground) -> None:
    laptop = place.laptop()
    assert laptop.read(f"{FOLDER}/nothing.yaml") is None
    assert laptop.read(FOLDER) is None
    assert laptop.read(f"{STATE}/below-a-file") is None


def test_line_ends_and_bytes_that_are_no_text_are_read_as_they_are(place: Ground) -> None:
    laptop = place.laptop()
    assert laptop.read(CRLF) == "a: 1\r\nb: 2\r\n"
    text = laptop.read(BINARY)
    assert text is not None
    assert text.encode("utf-8", "surrogateescape") == SEED[BINARY]


def test_files_are_listed_from_the_root_and_sorted(place: Ground) -> None:
    laptop = place.laptop()
    assert laptop.files(FOLDER) == tuple(sorted((STATE, SCRIPT, CRLF, BINARY)))
    assert laptop.files(f"{FOLDER}/") == laptop.files(FOLDER)
    assert laptop.files("clusters/prod") == laptop.files(FOLDER)
    assert laptop.files("") == tuple(sorted(SEED))
    assert laptop.files("clusters/pro") == ()
    assert laptop.files(STATE) == ()


def test_what_a_colleague_pushed_is_seen_after_a_fetch_and_not_before(place: Ground) -> None:
    laptop = place.laptop()
    before = laptop.head()
    pushed = place.colleague("Edit by hand", {STATE: "theirs\n"})
    assert laptop.head() == before
    assert laptop.read(STATE) != "theirs\n"
    laptop.fetch()
    assert laptop.head() == pushed
    assert laptop.read(STATE) == "theirs\n"
    assert laptop.read(STATE, at=before) == SEED[STATE].decode()


def test_history_is_told_newest_first_by_path_and_by_what_came_since(place: Ground) -> None:
    laptop = place.laptop()
    begin = laptop.head()
    place.colleague("Touch the state", {STATE: "1\n"})
    place.colleague("Touch a catalog", {"catalogs/redis/base.yaml": "2\n"})
    laptop.fetch()
    assert [one.subject for one in laptop.log()] == ["Touch a catalog", "Touch the state", "Begin"]
    assert [one.subject for one in laptop.log(since=begin)] == ["Touch a catalog", "Touch the state"]
    assert [one.subject for one in laptop.log((STATE,), since=begin)] == ["Touch the state"]
    assert [one.subject for one in laptop.log(("clusters",), since=begin)] == ["Touch the state"]
    assert [one.subject for one in laptop.log(limit=1)] == ["Touch a catalog"]
    assert laptop.log()[0].author == "Ada Colleague"
    assert laptop.log()[0].at.tzinfo is not None


def test_a_commit_that_the_clone_never_saw_is_no_empty_history(place: Ground) -> None:
    laptop = place.laptop()
    laptop.fetch()
    with pytest.raises(DurableStateError):
        laptop.log(since="1" * 40)
    with pytest.raises(DurableStateError):
        laptop.read(STATE, at="1" * 40)


def test_a_diff_shows_added_changed_and_removed_files_and_nothing_for_no_change(place: Ground) -> None:
    laptop = place.laptop()
    shown = laptop.diff((Edit(STATE, "data: none"), Edit(f"{FOLDER}/new.yaml", "a: 1\n"), Edit(SCRIPT, None)))
    assert f"--- a/{STATE}\n+++ b/{STATE}\n" in shown
    assert "+data: none\n\\ No newline at end of file\n" in shown
    assert f"--- /dev/null\n+++ b/{FOLDER}/new.yaml\n" in shown
    assert f"--- a/{SCRIPT}\n+++ /dev/null\n" in shown
    assert laptop.diff((Edit(STATE, SEED[STATE].decode()),)) == ""


# Writing


def test_a_journal_that_does_not_exist_is_empty(place: Ground) -> None:
    assert place.laptop().journal(GROUP) == Journal("", ())


def test_records_are_read_back_in_order_by_everybody(place: Ground) -> None:
    laptop = place.laptop()
    first, second, third = record("one"), record("two"), record("three")
    tip = laptop.advance(GROUP, "", (first,)).tip
    reached = laptop.advance(GROUP, tip, (second, third))
    assert reached.commit == ""
    assert laptop.journal(GROUP) == Journal(reached.tip, (first, second, third))
    elsewhere = place.laptop()
    elsewhere.fetch()
    assert elsewhere.journal(GROUP) == Journal(reached.tip, (first, second, third))
    assert elsewhere.journal(OTHER) == Journal("", ())


def test_a_commit_and_its_records_land_together(place: Ground) -> None:
    laptop = place.laptop()
    reached = laptop.advance(GROUP, "", (record(),), change((STATE, "new\n"), (f"{FOLDER}/links/a.yaml", "a: 1\n"), (SCRIPT, None)))
    assert laptop.head() == reached.commit
    assert laptop.read(STATE) == "new\n"
    assert place.content(STATE) == "new\n"
    assert place.content(f"{FOLDER}/links/a.yaml") == "a: 1\n"
    assert place.content(SCRIPT) is None
    assert place.journal_tip(GROUP) == reached.tip
    made = laptop.log(limit=1)[0]
    assert (made.id, made.subject, made.author) == (reached.commit, "Weights to 10 %", "Bennu Operator")
    assert made.trailers == {"Bennu-Rotation": "prod-us-east-1-1", "Bennu-Step": "canary-10", "Bennu-Epoch": "1"}


def test_a_record_alone_leaves_the_branch_where_it_is(place: Ground) -> None:
    laptop = place.laptop()
    before = laptop.head()
    laptop.advance(GROUP, "", (record(),))
    assert laptop.head() == before
    assert place.commits() == 1


def test_two_groups_have_journals_of_their_own(place: Ground) -> None:
    laptop = place.laptop()
    one, two = record("one"), record("two")
    laptop.advance(GROUP, "", (one,))
    laptop.advance(OTHER, "", (two,))
    assert laptop.journal(GROUP).records == (one,)
    assert laptop.journal(OTHER).records == (two,)


def test_whoever_comes_second_loses_and_none_of_theirs_lands(place: Ground) -> None:
    ours, theirs = place.laptop(), place.laptop()
    ours.head()
    won = theirs.advance(GROUP, "", (record("theirs", "ada@there"),))
    with pytest.raises(LockLost, match="ada@there") as lost:
        ours.advance(GROUP, "", (record("ours"),), change((STATE, "ours\n")))
    assert lost.value.code == 4
    assert place.journal_tip(GROUP) == won.tip
    assert place.content(STATE) == SEED[STATE].decode()
    assert place.commits() == 1


def test_a_journal_taken_over_in_the_middle_stops_the_former_holder(place: Ground) -> None:
    ours, theirs = place.laptop(), place.laptop()
    tip = ours.advance(GROUP, "", (record("one"),)).tip
    theirs.fetch()
    theirs.advance(GROUP, tip, (record("over", "ada@there"),))
    for _ in range(2):
        with pytest.raises(LockLost):
            ours.advance(GROUP, tip, (record("two"),), change((STATE, "ours\n")))
    assert place.content(STATE) == SEED[STATE].decode()


def test_a_colleagues_commit_beside_ours_is_kept_and_ours_is_built_on_it(place: Ground) -> None:
    laptop = place.laptop()
    tip = laptop.advance(GROUP, "", (record(),)).tip
    theirs = place.colleague("Beside", {"README.md": "theirs\n"})
    reached = laptop.advance(GROUP, tip, (record(),), change((STATE, "ours\n")))
    assert place.content("README.md") == "theirs\n"
    assert place.content(STATE) == "ours\n"
    assert [one.id for one in laptop.log(limit=2)] == [reached.commit, theirs]
    assert len(laptop.journal(GROUP).records) == 2


def test_a_colleagues_commit_on_our_file_stops_us_and_names_it(place: Ground) -> None:
    laptop = place.laptop()
    tip = laptop.advance(GROUP, "", (record(),)).tip
    theirs = place.colleague("Edit by hand", {STATE: "theirs\n"})
    with pytest.raises(StoppedSafe, match=rf"{theirs[:12]} by Ada Colleague \('Edit by hand'\)"):
        laptop.advance(GROUP, tip, (record(),), change((STATE, "ours\n")))
    assert place.content(STATE) == "theirs\n"
    assert place.journal_tip(GROUP) == tip


def test_a_change_that_was_taken_back_again_still_stops_us(place: Ground) -> None:
    laptop = place.laptop()
    tip = laptop.advance(GROUP, "", (record(),)).tip
    place.colleague("There", {STATE: "theirs\n"})
    place.colleague("And back", {STATE: SEED[STATE].decode()})
    with pytest.raises(StoppedSafe, match="And back"):
        laptop.advance(GROUP, tip, (record(),), change((STATE, "ours\n")))


def test_a_branch_that_moves_at_each_try_is_given_up_after_five(place: Ground) -> None:
    laptop = place.laptop()
    tip = laptop.advance(GROUP, "", (record(),)).tip
    raced = 0

    def race() -> None:
        nonlocal raced
        raced += 1
        place.colleague(f"Race {raced}", {"README.md": f"{raced}\n"})
        place.before_next_push(laptop, race)

    place.before_next_push(laptop, race)
    with pytest.raises(StoppedSafe, match="5 times"):
        laptop.advance(GROUP, tip, (record(),), change((STATE, "ours\n")))
    assert raced == 5
    assert place.journal_tip(GROUP) == tip
    assert place.content(STATE) == SEED[STATE].decode()


def test_the_hosts_refusal_reaches_the_user_and_nothing_is_half_done(place: Ground) -> None:
    laptop = place.laptop()
    tip = laptop.advance(GROUP, "", (record(),)).tip
    place.refuse("GL-1: sign your commits")
    with pytest.raises(GateRefused, match="GL-1: sign your commits") as refused:
        laptop.advance(GROUP, tip, (record(),), change((STATE, "ours\n")))
    assert refused.value.code == 3
    assert laptop.read(STATE) == SEED[STATE].decode()
    assert place.journal_tip(GROUP) == tip
    place.refuse("")
    assert laptop.advance(GROUP, tip, (record(),), change((STATE, "ours\n"))).tip == place.journal_tip(GROUP)


def test_whether_notes_are_allowed_is_found_out_and_leaves_nothing(place: Ground) -> None:
    laptop = place.laptop()
    laptop.fetch()
    assert laptop.probe_notes(GROUP) == ""
    place.refuse("no notes here")
    assert "no notes here" in laptop.probe_notes(GROUP)
    place.refuse("")
    assert place.laptop().fetch().problem == ""
    assert place.journal_tip(GROUP) == ""


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "/etc/passwd",
        f"{FOLDER}/../../../x",
        f"{FOLDER}/.git/config",
        f"{FOLDER}//x",
        f"{FOLDER}/./x",
        "catalogs/redis/base.yaml",
        "README.md",
        "clusters",
        "",
    ],
)
def test_a_path_that_is_not_bennus_is_refused_as_a_defect(place: Ground, path: str) -> None:
    laptop = place.laptop()
    with pytest.raises(BennuError) as refused:
        laptop.advance(GROUP, "", (record(),), change((STATE, "fine\n"), (path, "x\n")))
    assert refused.value.code == 1
    assert place.journal_tip(GROUP) == ""
    assert place.commits() == 1


# The remote fails


def test_with_the_remote_down_reads_go_on_and_say_how_old_they_are(place: Ground) -> None:
    laptop = place.laptop()
    fetched = laptop.fetch().fetched_at
    tip = laptop.advance(GROUP, "", (record(),)).tip
    place.down()
    freshness = laptop.fetch()
    assert "does not answer" in freshness.problem
    assert freshness.fetched_at == fetched
    assert laptop.read(STATE) == SEED[STATE].decode()
    assert laptop.journal(GROUP).tip == tip


def test_a_clone_that_never_reached_its_remote_says_so(place: Ground) -> None:
    place.down()
    laptop = place.laptop()
    freshness = laptop.fetch()
    assert freshness.fetched_at is None
    with pytest.raises(DependencyDown, match="does not answer"):
        laptop.read(STATE)


def test_a_push_to_a_remote_that_is_down_changes_nothing_and_can_be_done_again(place: Ground) -> None:
    laptop = place.laptop()
    tip = laptop.advance(GROUP, "", (record(),)).tip
    place.down()
    with pytest.raises(DependencyDown, match="does not answer") as down:
        laptop.advance(GROUP, tip, (record(),), change((STATE, "ours\n")))
    assert down.value.code == 8
    assert laptop.read(STATE) == SEED[STATE].decode()
    assert laptop.journal(GROUP).tip == tip
    place.up()
    laptop.advance(GROUP, tip, (record(),), change((STATE, "ours\n")))
    assert place.content(STATE) == "ours\n"
    assert place.commits() == 2


def test_a_push_that_arrived_without_an_answer_is_found_and_not_done_twice(place: Ground) -> None:
    laptop = place.laptop()
    tip = laptop.advance(GROUP, "", (record(),)).tip
    place.lose_answer()
    reached = laptop.advance(GROUP, tip, (record(),), change((STATE, "ours\n")))
    assert place.journal_tip(GROUP) == reached.tip
    assert place.commits() == 2
    assert len(laptop.journal(GROUP).records) == 2
    laptop.advance(GROUP, reached.tip, (record(),))


def test_a_push_that_arrived_at_a_host_that_then_died_is_found_at_the_next_look(place: Ground) -> None:
    laptop = place.laptop()
    tip = laptop.advance(GROUP, "", (record(),)).tip
    sent = record("sent")
    place.lose_answer(dies=True)
    with pytest.raises(DependencyDown):
        laptop.advance(GROUP, tip, (sent,), change((STATE, "ours\n")))
    place.up()
    with pytest.raises(StoppedSafe, match="has arrived after all"):
        laptop.advance(GROUP, tip, (record("again"),), change((STATE, "ours\n")))
    assert laptop.journal(GROUP).records[-1] == sent
    assert place.commits() == 2
    laptop.advance(GROUP, laptop.journal(GROUP).tip, (record("next"),))


def test_a_rewritten_branch_stops_reading_at_the_remote_and_keeps_what_was_seen(place: Ground) -> None:
    laptop = place.laptop()
    laptop.advance(GROUP, "", (record(),), change((STATE, "ours\n")))
    place.rewrite_branch()
    for _ in range(2):
        with pytest.raises(DurableStateError, match="main was rewritten"):
            laptop.fetch()
    assert laptop.read(STATE) == "ours\n"


def test_a_rewritten_journal_is_refused_and_other_groups_go_on(place: Ground) -> None:
    laptop = place.laptop()
    tip = laptop.advance(GROUP, "", (record(),)).tip
    laptop.advance(OTHER, "", (record(),))
    place.rewrite_journal(GROUP)
    with pytest.raises(DurableStateError):
        laptop.advance(GROUP, tip, (record(),), change((STATE, "ours\n")))
    laptop.fetch()
    with pytest.raises(DurableStateError, match="rewritten"):
        laptop.journal(GROUP)
    assert len(laptop.journal(OTHER).records) == 1
    assert place.content(STATE) == SEED[STATE].decode()


def test_a_deleted_journal_is_never_begun_anew(place: Ground) -> None:
    laptop = place.laptop()
    tip = laptop.advance(GROUP, "", (record(),)).tip
    place.delete_journal(GROUP)
    for _ in range(2):
        with pytest.raises(DurableStateError, match="deleted at the remote"):
            laptop.advance(GROUP, tip, (record(),))
        laptop.fetch()
        assert laptop.journal(GROUP).tip == tip
    assert place.journal_tip(GROUP) == ""
