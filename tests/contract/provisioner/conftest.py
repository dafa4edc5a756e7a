from __future__ import annotations

import pytest

from bennu.core.clusters import Colour, Group
from bennu.ports.provisioner import Order


@pytest.fixture
def order() -> Order:
    return Order(Group("prod", "us-east-1"), Colour.GREEN, "prod-us-east-1-7")


@pytest.fixture
def said() -> list[str]:
    """What a provisioner printed; pass ``said.append`` as talk."""
    return []
