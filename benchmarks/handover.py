"""Hand the write authority over, as S6 does, between two servers named by the environment (``benchmarks/grounds.py`` has the contract). Exit 0: switched. Again: resume.

::

    python benchmarks/handover.py [--reverse] [--accept-volatile] [--max-lag-bytes N] [--steps]

The last line on stdout is one JSON object with the pause as Bennu predicted and measured it. Errors go to stderr with Bennu's exit codes. It judges nothing about what it is run on but
persistence: the pre-check of a rotation comes before this.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import grounds
from benchmarks.section import Options, Seams, Section
from benchmarks.timeline import Timeline
from bennu.core.clusters import Colour
from bennu.core.policy import SPEC, overridden
from bennu.errors import BennuError


def main() -> int:
    """Parse, run, print; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--reverse", action="store_true", help="the way back: the source is what the target was")
    parser.add_argument("--accept-volatile", action="store_true", help="go on where a server has no persistence")
    parser.add_argument("--max-lag-bytes", type=int, default=SPEC.max_lag_bytes, help="refuse above this lag, as bennu.yaml's policy_overrides would say it")
    parser.add_argument("--holder", default="bench@here", help="who drives, as user@host")
    parser.add_argument("--take-over", default="", metavar="LOCK", help="the id of another holder's lock")
    parser.add_argument("--steps", action="store_true", help="say in the JSON when each call to a system began, and what it took")
    given = parser.parse_args()
    options = Options(
        policy=overridden(SPEC, {"max_lag_bytes": given.max_lag_bytes}),
        holder=given.holder,
        take_over=given.take_over,
        accept_volatile=given.accept_volatile,
        tell=lambda line: print(line, file=sys.stderr, flush=True),
    )
    roles = {Colour.BLUE: "target", Colour.GREEN: "source"} if given.reverse else {Colour.BLUE: "source", Colour.GREEN: "target"}
    timeline = Timeline(roles)
    try:
        done = Section(grounds.from_environment(os.environ, reverse=given.reverse), timeline.seams() if given.steps else Seams(), options).run()
    except BennuError as error:
        print(f"{error.message}\nchanged: {error.changed}\nnext: {error.next_step}", file=sys.stderr)
        return error.code
    figures = {name: value for name, value in done.facts.items() if name.startswith(("pause.", "clients."))}
    print(json.dumps({"already": done.already, **figures, **({"steps": timeline.told()} if given.steps else {})}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
