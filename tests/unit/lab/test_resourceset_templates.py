"""A ResourceSet's templates are filled in as the operator does it, and nothing is guessed."""

from __future__ import annotations

from typing import Any

import pytest

from bennu.lab.controllers.resourceset import TemplateError, filled

INPUTS = {"cluster": "cluster-blue", "weight": 10, "enabled": True, "nested": {"zone": "a"}}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("<< inputs.cluster >>", "cluster-blue"),
        ("<<inputs.cluster>>", "cluster-blue"),
        ("./apps/<< inputs.cluster >>/<< inputs.nested.zone >>", "./apps/cluster-blue/a"),
        ("<< inputs.weight >>", 10),
        ("<< inputs.weight | quote >>", "10"),
        ("w=<< inputs.weight >>", "w=10"),
        ("<< inputs.enabled >>", True),
        ("<< inputs.enabled | quote >>", "true"),
        ("plain", "plain"),
        (7, 7),
        ({"a": ["<< inputs.weight >>"]}, {"a": [10]}),
    ],
)
def test_an_expression_is_replaced_before_the_text_is_read(template: Any, expected: Any) -> None:
    assert filled(template, INPUTS) == expected
    assert type(filled(template, INPUTS)) is type(expected)


@pytest.mark.parametrize("template", ["<< inputs.nothing >>", "<< inputs.cluster.deeper >>", "<< inputs.cluster | upper >>", "<<- range inputs >>", "a << b"])
def test_what_cannot_be_filled_in_is_an_error_and_never_left_as_it_is(template: str) -> None:
    with pytest.raises(TemplateError):
        filled(template, INPUTS)
