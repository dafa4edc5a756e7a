"""Thousands of damaged checkpoints, journals, settings and manifests, as an editor, a merge, a bad disk or somebody who means harm would make them: each is read, or refused in words with a code of the
table; a file of YAML with its line. Never another exception.

``make test`` takes a few hundred of each, the deep tier 20,000 (figures in docs/architecture.md). A failure names its seed: ``python -m tests.inputs.test_inputs <what> <seed>`` does it once more.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from bennu.errors import BennuError, ConfigError
from tests.inputs import readers
from tests.inputs.mutator import mutated

# A look at a note draws the whole screen: 40 ms.
SHARE = {"checkpoint": 2000, "note": 200, "bennu.yaml": 150}
CODES = {2, 3, 5, 9}
What = tuple[Callable[[Path], readers.Reader], Callable[[], Sequence[bytes]], bool]


def _manifest(name: str) -> What:
    # Spliced with each other, too.
    return (lambda folder: readers.READERS[name]), (lambda: (readers.manifests()[name],) * 15 + tuple(readers.manifests().values())), False


INPUTS: Mapping[str, What] = {
    "checkpoint": (readers.CheckpointReader, readers.checkpoints, True),
    "note": ((lambda folder: readers.note), readers.notes, True),
    "bennu.yaml": (readers.SettingsReader, readers.settings_files, False),
    **{name: _manifest(name) for name in readers.READERS},
}
MANIFESTS = len(readers.READERS)


def outcome(reader: readers.Reader, raw: bytes, *, placed: bool) -> str:
    """How it ended. Raises AssertionError for what must not be."""
    try:
        found = reader(raw)
    except BennuError as error:
        assert error.code in CODES, f"{error.code}: {error.message[:200]}"
        if placed:
            assert isinstance(error, ConfigError), f"no file: {error.message[:200]}"
            assert error.line is not None, f"no line: {error.message[:200]}"
        error.message.encode("utf-8", "backslashreplace")
        return f"refused ({error.code})"
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(traceback.format_exc(limit=-4)) from error
    return "damaged" if found == "damaged" else "read"


def swept(what: str, seeds: range, folder: Path) -> Counter[str]:
    made, texts, lines = INPUTS[what]
    reader, found, broken = made(folder), Counter[str](), []
    assert outcome(reader, texts()[0], placed=not lines) == "read"
    for seed in seeds:
        try:
            found[outcome(reader, mutated(seed, texts(), json_lines=lines), placed=not lines)] += 1
        except AssertionError as error:
            broken.append(f"{what}, seed {seed}: {str(error)[-600:]}")
    assert not broken, "\n".join([f"{len(broken)} of {len(seeds)}", *broken[:10]])
    return found


@pytest.mark.parametrize("what", INPUTS)
def test_a_damaged_input_is_read_or_refused_in_words(what: str, tmp_path: Path) -> None:
    found = swept(what, range(SHARE.get(what, 200)), tmp_path)
    assert found.total() - found["read"] > 50


@pytest.mark.long
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("what", INPUTS)
def test_twenty_thousand_damaged_inputs(what: str, part: int, tmp_path: Path) -> None:
    each = 20_000 // (4 * MANIFESTS if what in readers.READERS else 4) + 1
    found = swept(what, range(1_000_000 + part * each, 1_000_000 + (part + 1) * each), tmp_path)
    print(f"\n{what}: {each} damaged: " + ", ".join(f"{count} {how}" for how, count in sorted(found.items())))


if __name__ == "__main__":
    chosen, seed = sys.argv[1], int(sys.argv[2])
    text = mutated(seed, INPUTS[chosen][1](), json_lines=INPUTS[chosen][2])
    sys.stdout.buffer.write(text + b"\n")
    with tempfile.TemporaryDirectory() as scratch:
        print(outcome(INPUTS[chosen][0](Path(scratch)), text, placed=not INPUTS[chosen][2]))
