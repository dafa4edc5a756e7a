"""The example settings: they load, hold two kinds of groups, and show every key that does something."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from bennu.core.clusters import Colour, Group
from bennu.settings import Settings, load, unsupported

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "bennu.yaml"

# In the schema, accepted with any value, and without effect today. The README says so; an example that showed them would promise something.
WITHOUT_EFFECT = {
    "target.copy_from",
    "target.substitute",
    "provisioner.before_destroy",
    "flux.max_reconcile",
    "active_only.stop_within",
    "canary.no_traffic",
    "switchover.pause_budget",
    "dns.endpoint",
    "dns.txt_owner",
}
# Effective, but in another kind of group than the example's, or the same model used where one of its keys says nothing.
ELSEWHERE = {"redis.direct", "dns.controller.stop_within", "dns.controller.kustomization", "both.stop_within", "both.kustomization"}


@pytest.fixture(scope="module")
def example() -> Settings:
    return load(EXAMPLE, environ={}, flags={})


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models(inner)


def _keys(model: type[BaseModel], above: str = "") -> Iterator[str]:
    """Dotted keys of the schema that hold a value; names of groups and positions in lists are left out, and ``groups.`` with them."""
    for name, field in model.model_fields.items():
        place, inner = f"{above}{field.alias or name}", next(_models(field.annotation), None)
        if inner is None:
            yield place
        else:
            yield from _keys(inner, "" if place == "groups" else f"{place}.")


def _written(value: object, model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = field.alias or name
        if not isinstance(value, dict) or key not in value:
            continue
        inner, found, place = next(_models(field.annotation), None), value[key], f"{above}{key}"
        if inner is None:
            yield place
            continue
        parts = list(found.values()) if place in ("groups", "clusters") else found if isinstance(found, list) else [found]
        for part in parts:
            yield from _written(part, inner, "" if place == "groups" else f"{place}.")


def _below(key: str, roots: set[str]) -> bool:
    return any(key == root or key.startswith(f"{root}.") for root in roots)


def refused() -> set[str]:
    """Dotted keys that ``unsupported`` refuses, with the places of lists left out."""
    paths = [rule.path for rule in unsupported.RULES] + [rule.path for rule in unsupported.GROUP_RULES]
    return {".".join(part for part in path if isinstance(part, str)) for path in paths}


def test_the_example_loads_as_it_stands(example: Settings) -> None:
    group = Group.parse("prod/us-east-1")
    assert example.colours(group) == (Colour.RED, Colour.BLUE, Colour.GREEN)
    assert [app.name for app in example.group(group).apps] == ["payment-service", "checkout-api"]
    assert dict(example.policy_overrides)["provisioning_timeout_s"] == 45 * 60


def test_the_example_has_a_group_whose_state_lives_outside_its_clusters(example: Settings) -> None:
    assert example.group(Group.parse("staging/eu-west-1")).redis == ()


def test_the_example_holds_no_secret(example: Settings) -> None:
    login = example.repository.credentials
    assert login is not None
    assert login.password == "env:BENNU_GIT_TOKEN"


def test_the_example_shows_every_key_that_does_something() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    written = set(_written(yaml.safe_load(text), Settings))
    # A rule on the whole list refuses a second Redis, not the first.
    unseen = (refused() - {"redis"}) | WITHOUT_EFFECT | ELSEWHERE
    assert {key for key in _keys(Settings) if not _below(key, unseen)} - written == set()


def test_what_has_no_effect_is_in_the_schema_and_not_in_the_example() -> None:
    known, written = set(_keys(Settings)), set(_written(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")), Settings))
    for root in WITHOUT_EFFECT | ELSEWHERE:
        assert any(_below(key, {root}) for key in known), root
    assert not any(_below(key, WITHOUT_EFFECT) for key in written)
