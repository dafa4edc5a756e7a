"""Hand the write authority over, once, by Bennu's own S6 step: the command that a harness judges from the clients' side.

The environment is that of :class:`benchmarks.section.Place`. Exit 0 means switched; run again, it resumes. The last line of stdout is JSON: ``pause_ms`` as Bennu
measured it, ``facts`` as its journal would have them::

    SRC_HOST=… SRC_PORT=… … python -m benchmarks.handover [--reverse] [--pause-ms 500]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys

from benchmarks.section import Place, Section
from bennu.core.policy import SPEC
from bennu.errors import BennuError
from bennu.phases.base import StepAborted


def main() -> int:
    """The exit code is Bennu's own; 5 where the step gave up and put everything back."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--reverse", action="store_true", help="from DST to SRC")
    asked.add_argument("--pause-ms", type=int, default=SPEC.pause_ms, help="the dead-man's switch")
    given = asked.parse_args()
    place = Place.of(os.environ)
    policy = dataclasses.replace(SPEC, pause_ms=given.pause_ms)
    try:
        effect = Section(place.reversed() if given.reverse else place, policy).run()
    except StepAborted as why:
        sys.stderr.write(f"{why}\n")
        return 5
    except BennuError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps({"pause_ms": float(effect.facts.get("pause.ms", 0)), "facts": dict(effect.facts)}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
