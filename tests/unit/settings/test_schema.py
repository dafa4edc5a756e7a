"""The JSON Schema that editors use agrees with what Bennu itself takes: it refuses nothing that loads, and catches what a schema can catch."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ValidationError

from bennu.core.policy import NUMBERS
from bennu.manifests import yaml_read
from bennu.settings import json_schema
from bennu.settings.model import Settings
from tests.unit.settings.files import SMALL, group_with, refusal, repository_with, root_with, swapped
from tests.unit.settings.test_unsupported import WHOLE

SCHEMA = Draft202012Validator(json_schema())


def _valid(text: str) -> bool:
    return SCHEMA.is_valid(yaml_read.documents(text, "bennu.yaml")[0])


def test_the_schema_is_one_and_can_be_written_down() -> None:
    Draft202012Validator.check_schema(json_schema())
    assert json.loads(json.dumps(json_schema())) == json_schema()


@pytest.mark.parametrize("text", [SMALL, WHOLE, group_with("canary: {window: 10, success: {min: 1}}")])
def test_what_loads_or_is_known_passes_the_schema(text: str) -> None:
    assert [error.message for error in SCHEMA.iter_errors(yaml_read.documents(text, "bennu.yaml")[0])] == []


@pytest.mark.parametrize(
    "text",
    [
        root_with("polcy: lab"),
        root_with("policy: fast"),
        root_with("policy_overrides: {lag_soak: 5s}"),
        root_with("policy_overrides: {max_restarts: 2.5}"),
        repository_with("brnch: x"),
        repository_with('credentials: {username: a, password: "hunter2"}'),
        repository_with("branch: a b"),
        repository_with("signing: {notes: yes}"),
        swapped("port: 6379", "port: 99999"),
        swapped("port: 6379", 'port: "6379"'),
        swapped("name: ledger", "name: ../x"),
        swapped("name: ledger", "name: 5"),
        swapped("green:", "purple:"),
        swapped("https://mimir", "ftp://mimir"),
        swapped("version: 1", "version: 2"),
        group_with("canary: {window: 10 minutes}"),
        group_with("canary: {window: -1}"),
        group_with("canary: {window: true}"),
        group_with("canary: {success: {min: 99.9}}"),
        group_with("canary: {weights: [0]}"),
        group_with("dns: {records: []}"),
        swapped("port: 6379}\n", "port: 6379}\n        auth: {secret: redis-auth}\n"),
    ],
)
def test_what_the_schema_refuses_bennu_refuses_too(tmp_path: Path, text: str) -> None:
    assert not _valid(text)
    refusal(tmp_path, text)


def _places(tree: Any, place: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items: list[tuple[str | int, Any]] = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)) if isinstance(tree, list) else []
    return [place, *(found for key, value in items for found in _places(value, (*place, key)))]


TREE = yaml_read.documents(WHOLE, "bennu.yaml")[0]
ODD = [None, True, 0, -1, 1.5, 70000, "", "x", "-x", "5m", "20%", "../x", "{colour}", "env:X", [], ["x"], [1], {}, {"x": 1}]


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_no_single_change_of_any_place_loads_and_fails_the_schema(value: Any) -> None:
    for place in _places(TREE)[1:]:
        tree = deepcopy(TREE)
        at = tree
        for part in place[:-1]:
            at = at[part]
        at[place[-1]] = value
        try:
            Settings.model_validate(tree)
        except ValidationError:
            continue
        assert [(place, error.message) for error in SCHEMA.iter_errors(tree)] == []


def test_every_key_of_the_schema_is_described_by_the_section_that_holds_it() -> None:
    definitions = json_schema()["$defs"]
    lacking = [name for name, one in definitions.items() if name.endswith("Settings") and not one.get("description")]
    assert lacking == []


def test_every_number_of_the_policy_can_be_overridden_by_the_schema() -> None:
    assert set(json_schema()["$defs"]["PolicyOverrides"]["properties"]) == set(NUMBERS)


def test_no_section_lets_an_unknown_key_pass() -> None:
    def sections(model: type[BaseModel]) -> set[type[BaseModel]]:
        found = {model}
        for field in model.model_fields.values():
            stack = [field.annotation]
            while stack:
                one = stack.pop()
                stack.extend(getattr(one, "__args__", ()))
                if isinstance(one, type) and issubclass(one, BaseModel):
                    found |= sections(one)
        return found

    every = sections(Settings)
    assert len(every) > 30
    assert all(one.model_config.get("extra") == "forbid" and one.model_config.get("frozen") for one in every)
