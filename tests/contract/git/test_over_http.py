"""The parts of the repository's contract in which the transport has a say, over smart HTTP as the lab serves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.git import test_repository as contract
from tests.contract.git import test_requests as requests
from tests.contract.git.grounds import Ground, ground

STORIES: tuple[Callable[[Ground], None], ...] = (
    contract.test_a_commit_and_its_records_land_together,
    contract.test_whoever_comes_second_loses_and_none_of_theirs_lands,
    contract.test_a_colleagues_commit_beside_ours_is_kept_and_ours_is_built_on_it,
    contract.test_a_colleagues_commit_on_our_file_stops_us_and_names_it,
    contract.test_the_hosts_refusal_reaches_the_user_and_nothing_is_half_done,
    contract.test_with_the_remote_down_reads_go_on_and_say_how_old_they_are,
    contract.test_a_push_to_a_remote_that_is_down_changes_nothing_and_can_be_done_again,
    contract.test_a_push_that_arrived_without_an_answer_is_found_and_not_done_twice,
    contract.test_a_push_that_arrived_at_a_host_that_then_died_is_found_at_the_next_look,
    contract.test_a_rewritten_branch_stops_reading_at_the_remote_and_keeps_what_was_seen,
    contract.test_a_rewritten_journal_is_refused_and_other_groups_go_on,
    contract.test_a_deleted_journal_is_never_begun_anew,
    requests.test_an_answer_reaches_the_asker_and_ends_the_request,
    requests.test_with_the_remote_down_the_holder_sees_nothing_and_the_asker_is_told,
)


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[Ground]:
    with ground("http", tmp_path) as found:
        yield found


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__.removeprefix("test_"))
def test_over_http(story: Callable[[Ground], None], hosted: Ground) -> None:
    story(hosted)
