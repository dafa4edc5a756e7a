"""When CronJobs are due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bennu.lab.controllers.cronjobs import due, job_of
from bennu.lab.controllers.cronjobs_schedule import EVERY, Schedule, seconds

NOON = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)  # a Monday


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("* * * * *", datetime(2026, 11, 23, 12, 1, tzinfo=UTC)),
        ("*/15 * * * *", datetime(2026, 11, 23, 12, 15, tzinfo=UTC)),
        ("0 2-4 * * *", datetime(2026, 11, 24, 2, 0, tzinfo=UTC)),
        ("30 6 * * sun", datetime(2026, 11, 29, 6, 30, tzinfo=UTC)),
        ("30 6 * * 7", datetime(2026, 11, 29, 6, 30, tzinfo=UTC)),
        ("0 0 1 jan *", datetime(2027, 1, 1, 0, 0, tzinfo=UTC)),
        ("@hourly", datetime(2026, 11, 23, 13, 0, tzinfo=UTC)),
        ("0 0 1 * tue", datetime(2026, 11, 24, 0, 0, tzinfo=UTC)),
    ],
)
def test_the_next_due_minute_is_crons(schedule: str, expected: datetime) -> None:
    assert Schedule.parse(schedule).next_after(NOON) == expected


def test_a_date_that_never_comes_is_never_due() -> None:
    assert Schedule.parse("0 0 30 2 *").next_after(NOON) is None


@pytest.mark.parametrize("schedule", ["* * * *", "61 * * * *", "*/0 * * * *", "a * * * *", ""])
def test_a_schedule_that_cannot_be_read_is_refused(schedule: str) -> None:
    with pytest.raises(ValueError):
        Schedule.parse(schedule)


def test_go_durations_are_read_to_seconds() -> None:
    assert seconds("1m30s") == 90
    assert seconds("500ms") == 0.5
    with pytest.raises(ValueError, match="not a duration"):
        seconds("5 minutes")


def cron(**spec: object) -> dict[str, object]:
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "settlement", "namespace": "payments", "uid": "u1", "annotations": {EVERY: "2s"}},
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {}}}, **spec},
    }


def test_of_several_missed_times_only_the_latest_is_made_up_for() -> None:
    found = due(cron(), NOON, NOON + timedelta(seconds=7))
    assert found.at == NOON + timedelta(seconds=6)
    assert found.next == NOON + timedelta(seconds=8)


def test_nothing_is_due_before_the_period_is_over() -> None:
    assert due(cron(), NOON, NOON + timedelta(seconds=1)).at is None


def test_a_due_moment_has_one_job_name_however_often_it_is_served() -> None:
    names = {job_of(cron(), NOON)["metadata"]["name"] for _ in range(3)}
    assert len(names) == 1
