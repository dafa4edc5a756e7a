"""``policy_overrides``: one optional number for each of ``core.policy``'s, its unit read from the end of its name, so that ``pause_budget_ms: 2s`` is 2000.

Built from the policy itself: a number that is added there can be overridden here, and the JSON Schema lists it.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from pydantic import Field, GetPydanticSchema, with_config
from typing_extensions import TypedDict

from bennu.core.policy import NUMBERS, Policy
from bennu.settings.fields import Milliseconds, Number, Seconds, Share, Whole

_SHARES = ("min_success", "catch_up_share")


def _type(field: dataclasses.Field[Any]) -> Any:
    if field.name in _SHARES:
        return Share
    if field.name.endswith("_ms"):
        return Milliseconds
    if field.name.endswith("_s"):
        return Seconds
    return Annotated[Whole, Field(ge=1)] if field.type == "int" else Number


_TYPES = {field.name: _type(field) for field in dataclasses.fields(Policy) if field.name in NUMBERS}
_Overrides = with_config({"extra": "forbid"})(TypedDict("PolicyOverrides", _TYPES, total=False))  # type: ignore[operator]  # its keys are the policy's

PolicyOverrides = Annotated[dict[str, float], GetPydanticSchema(lambda _source, handler: handler(_Overrides))]
