"""docs/spec-map.md: everything that it names is there, and nothing that must be on it is missing."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from pathlib import Path

import pytest

from bennu.core.policy import Policy
from bennu.core.states import State

ROOT = Path(__file__).parents[2]
MAP = (ROOT / "docs" / "spec-map.md").read_text(encoding="utf-8")
QUOTED = sorted(set(re.findall(r"`([^`\n]+)`", MAP)))
PATHS = [text for text in QUOTED if re.match(r"(bennu|tests|docs|examples|completions)/[\w./-]+\Z", text)]
NAMES = [text for text in QUOTED if re.match(r"bennu(\.\w+)+\Z", text)]
LINKS = sorted(set(re.findall(r"\]\(([^)#:]+)\)", MAP)))


def resolved(dotted: str) -> object:
    """The module or the attribute that *dotted* names: the longest importable part, then attributes; fields of dataclasses and models count as attributes."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        asked = ".".join(parts[:length])
        try:
            found: object = importlib.import_module(asked)
        except ModuleNotFoundError as error:
            if not f"{asked}.".startswith(f"{error.name}."):
                raise  # the module is there, and what it imports is not
            continue
        for part in parts[length:]:
            if inspect.isclass(found) and dataclasses.is_dataclass(found) and part in {field.name for field in dataclasses.fields(found)}:
                found = part
            else:
                found = getattr(found, part)
        return found
    raise ModuleNotFoundError(dotted)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_on_the_map_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("dotted", NAMES)
def test_a_name_on_the_map_can_be_imported(dotted: str) -> None:
    resolved(dotted)


@pytest.mark.parametrize("link", LINKS)
def test_a_link_on_the_map_leads_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()


def test_a_name_that_is_not_there_is_found_out() -> None:
    with pytest.raises(AttributeError):
        resolved("bennu.core.gates.no_such_gate")
    with pytest.raises(AttributeError):
        resolved("bennu.core.standing.Standing.no_such_field")


def test_the_map_names_enough_to_be_one() -> None:
    assert len(PATHS) > 30
    assert len(NAMES) > 100


@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
def test_every_state_is_mapped_with_its_number(state: State) -> None:
    assert f"| S{state.number} `{state.value}` |" in MAP


@pytest.mark.parametrize("number", [field.name for field in dataclasses.fields(Policy)])
def test_every_number_of_the_policy_is_mapped(number: str) -> None:
    table = MAP.split("## The numbers", 1)[1].split("\n## ", 1)[0]
    assert f"`{number}`" in table


@pytest.mark.parametrize("package", ["core", "phases"])
def test_every_module_of_the_core_and_of_the_phases_is_named(package: str) -> None:
    modules = {path.stem for path in (ROOT / "bennu" / package).glob("*.py")} - {"__init__"}
    named = {match for text in QUOTED for match in re.findall(rf"bennu[./]{package}[./](\w+)", text)}
    assert modules - named == set()


def test_each_later_and_overruled_gives_a_reason_or_says_what_is_there() -> None:
    for line in MAP.splitlines():
        if re.search(r"\*(later|overruled)\*", line, re.IGNORECASE) and line.startswith("|"):
            assert len(line) > 60, line
