"""Names are checked where they enter, and colours follow their cycle."""

from __future__ import annotations

import pytest

from bennu.core.clusters import Colour, Group, RotationId
from bennu.errors import UsageError

BAD = ["../x", "-oProxyCommand=touch", "$(reboot)", "a b", "A", "", "x\x00", "ünïcode", "x/y", "a" * 64, "-a", "a-", "a\n"]


def test_the_cycle_is_red_blue_green_red() -> None:
    assert [Colour.RED.following, Colour.BLUE.following, Colour.GREEN.following] == [Colour.BLUE, Colour.GREEN, Colour.RED]


@pytest.mark.parametrize("text", BAD)
def test_a_name_that_could_reach_a_path_or_a_command_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Group(text, "us-east-1")
    with pytest.raises(UsageError):
        Group.parse(f"prod/{text}")


@pytest.mark.parametrize("text", ["prod/us-east-1", "staging/eu-west-1", "dev/x"])
def test_any_number_of_environments_and_regions_is_a_group(text: str) -> None:
    assert str(Group.parse(text)) == text


@pytest.mark.parametrize("text", ["prod", "prod/a/b", "/", ""])
def test_what_is_not_environment_and_region_is_no_group(text: str) -> None:
    with pytest.raises(UsageError):
        Group.parse(text)


def test_a_rotation_is_numbered_within_its_group() -> None:
    assert str(RotationId(Group("prod", "us-east-1"), 7)) == "prod-us-east-1-7"


def test_an_unknown_colour_is_refused_with_the_choices() -> None:
    with pytest.raises(UsageError) as refused:
        Colour.parse("purple")
    assert "red, blue, green" in refused.value.next_step
