"""Every method of every port is known as a write or a read: a new one has no failpoints before somebody has said which it is."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import bennu.ports
from tests.sim.effects import EFFECTS, LASTS, READS, WRITES


def ports() -> list[type]:
    """The Protocols of all modules of ``bennu.ports``."""
    modules = [importlib.import_module(f"bennu.ports.{found.name}") for found in pkgutil.iter_modules(bennu.ports.__path__)]
    return [one for module in modules for _, one in inspect.getmembers(module, inspect.isclass) if one.__module__ == module.__name__ and _is_protocol(one)]


def _is_protocol(one: type) -> bool:
    return bool(getattr(one, "_is_protocol", False))


def methods(port: type) -> list[str]:
    return [name for name, found in vars(port).items() if not name.startswith("_") and (callable(found) or isinstance(found, property))]


def test_every_port_is_known() -> None:
    assert set(ports()) == set(WRITES) == set(READS)
    assert set(LASTS) <= set(WRITES)


@pytest.mark.parametrize("port", ports(), ids=lambda port: port.__name__)
def test_every_method_of_a_port_is_a_write_a_read_or_lasts(port: type) -> None:
    known = [*WRITES[port], *READS[port], *LASTS.get(port, ())]
    assert sorted(known) == sorted(methods(port))


def test_a_name_means_the_same_in_every_port() -> None:
    # The seams go by the name alone.
    assert not EFFECTS & frozenset[str]().union(*READS.values(), *LASTS.values())
