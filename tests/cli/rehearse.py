"""``bennu rehearse``: a rotation in memory behind the real console script, its streams and its signals. The tests here run it as a process of its own.

After (or, with ``--crash``, in) the named effect it says so on a pipe and waits for a byte on another one; at its end it writes there how things stand.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated

import typer

from bennu.cli.app import app
from bennu.cli.driving import driven
from bennu.cli.entry import main
from bennu.cli.output import Format, OutputOption
from bennu.engine.run import Engine
from bennu.engine.turns import StopFlag
from bennu.wiring import started
from tests.sim.pilot import AUTO, Pilot, universe
from tests.sim.seams import Taps
from tests.sim.universe import Kit


@app.command("rehearse")
def rehearse(
    effect: str,
    said: int,
    heard: int,
    output: OutputOption = Format.TEXT,
    crash: Annotated[bool, typer.Option("--crash")] = False,
    early: Annotated[bool, typer.Option("--early")] = False,
    deaf: Annotated[bool, typer.Option("--deaf")] = False,
) -> None:
    """*said* and *heard* are descriptors. ``--early``: a SIGTERM comes before the lock is taken. ``--deaf``: it waits in a call that no signal interrupts."""
    world, taps = universe(Kit(weights=(10, 90))), Taps()
    pilot = Pilot(world, taps=taps)

    def after(name: str) -> None:
        if name == effect and not met:
            met.append(name)
            if crash:
                raise RuntimeError("nobody thought of this")
            if deaf:
                signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
            os.write(said, b"met\n")
            os.read(heard, 1)

    met: list[str] = []
    taps.after = after
    rotation = pilot.session.proposed("", ())

    @contextmanager
    def opening(stop: StopFlag) -> Iterator[Engine]:
        if early:
            os.kill(os.getpid(), signal.SIGTERM)
        with started(pilot.session, rotation, AUTO, stop) as engine:
            yield engine

    try:
        driven(pilot.session, partial(opening), output)
    finally:
        standing = Pilot(world).session.standing()
        proof = {"state": standing.state, "locked": standing.lock is not None, "rotation": standing.rotation}
        proof |= {"writable": world.writable(), "lost": len(world.lost()), "violations": world.violations}
        os.write(said, json.dumps(proof).encode() + b"\n")


if __name__ == "__main__":
    main()
