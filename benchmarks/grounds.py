"""Where a switchover of the benchmarks happens: two servers, a pointer file and a folder for state, as the environment names them.

The contract (any harness that keeps it can judge Bennu): ``SRC_HOST SRC_PORT DST_HOST DST_PORT`` (how the tool reaches each server), ``SRC_REPL_HOST SRC_REPL_PORT DST_REPL_HOST
DST_REPL_PORT`` (how the other server reaches it), ``POINTER`` (a file ``host port maintenance``, replaced atomically), ``PTR_SRC_HOST PTR_SRC_PORT PTR_DST_HOST PTR_DST_PORT`` (what to
write there), ``REDIS_PASSWORD``, ``STATE_DIR``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bennu.core.clusters import Colour
from bennu.errors import UsageError
from bennu.ports.redis import Address


@dataclass(frozen=True)
class Node:
    """One server by its three addresses: from the tool, from the other server, and as apps shall read it in the pointer."""

    reach: Address
    mirror: Address
    pointer: Address


@dataclass(frozen=True)
class Grounds:
    """Everything a switchover needs to know of its surroundings. ``source`` is blue, or green where the roles are swapped (*reverse*)."""

    source: Node
    target: Node
    pointer: Path
    state: Path
    password: str = ""
    reverse: bool = False

    @property
    def nodes(self) -> Mapping[Colour, Node]:
        """The servers by the colour that they keep in both directions."""
        return {Colour.BLUE: self.target, Colour.GREEN: self.source} if self.reverse else {Colour.BLUE: self.source, Colour.GREEN: self.target}

    def colour_at(self, address: Address) -> Colour:
        """Whom a pointer that says *address* names. Raises UsageError for an address that is neither's."""
        for colour, node in self.nodes.items():
            if node.pointer == address:
                return colour
        raise UsageError(f"the pointer names {address}, which is neither the source nor the target")


def from_environment(environ: Mapping[str, str], *, reverse: bool = False) -> Grounds:
    """The contract's variables. Raises UsageError naming the first that is missing or no port."""
    if environ.get("REDIS_TLS_CA"):
        raise UsageError("REDIS_TLS_CA is set, and this command speaks plain TCP", next_step="run the servers without TLS")
    return Grounds(
        source=_node(environ, "SRC"),
        target=_node(environ, "DST"),
        pointer=Path(_value(environ, "POINTER")),
        state=Path(_value(environ, "STATE_DIR")),
        password=environ.get("REDIS_PASSWORD", ""),
        reverse=reverse,
    )


def _node(environ: Mapping[str, str], side: str) -> Node:
    return Node(_address(environ, side), _address(environ, f"{side}_REPL"), _address(environ, f"PTR_{side}"))


def _address(environ: Mapping[str, str], prefix: str) -> Address:
    text = _value(environ, f"{prefix}_PORT")
    if not text.isdecimal():
        raise UsageError(f"{prefix}_PORT is {text!r}, not a port")
    return Address(_value(environ, f"{prefix}_HOST"), int(text))


def _value(environ: Mapping[str, str], name: str) -> str:
    if not environ.get(name):
        raise UsageError(f"the environment has no {name}", next_step="see benchmarks/grounds.py for the contract")
    return environ[name]
