"""What was typed or configured wrong, and what does not answer: a clear error, its exit code, and nothing changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from bennu.lab import faults
from bennu.lab.fleet_files import git
from tests.scenario.rehearsal import Rehearsal, Said, rehearsal

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    with rehearsal(tmp_path_factory.mktemp("bad-input")) as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_changed(here: Rehearsal) -> Iterator[None]:
    bare = here.lab.root / "git" / "fleet.git"

    def seen() -> tuple[str, str]:
        return here.tree(), git(bare, "for-each-ref", "refs/notes")

    before = seen()
    yield
    assert seen() == before
    assert [cluster.load().colour for cluster in here.lab.clusters()] == ["blue"]


@pytest.fixture
def settings(here: Rehearsal) -> Iterator[Callable[[Callable[[str], str]], None]]:
    """Edit bennu.yaml for one test."""
    file = here.fleet / "bennu.yaml"
    before = file.read_text()

    def edit(change: Callable[[str], str]) -> None:
        file.write_text(change(before))

    yield edit
    file.write_text(before)


Edit = Callable[[Callable[[str], str]], None]


def refused(said: Said, code: int, *words: str) -> None:
    assert said.code == code, said
    assert said.out == ""
    assert said.err.startswith("bennu: ")
    assert "\n  changed: nothing was changed" in said.err
    for word in words:
        assert word in said.err, said.err


def pushed(here: Rehearsal, subject: str) -> None:
    """Commit what stands in the checkout (with a subject), and push."""
    if subject:
        git(here.fleet, "add", "--all")
        git(here.fleet, "commit", "--quiet", "--no-gpg-sign", "-m", subject)
    git(here.fleet, "push", "--quiet", str(here.lab.root / "git" / "fleet.git"), "HEAD:main")


def test_no_settings_file(here: Rehearsal, tmp_path: Path) -> None:
    refused(here.bennu("rotate", "start", "--repo", str(tmp_path)), 2, "bennu.yaml", "--repo")
    refused(here.bennu("plan", "--config", str(tmp_path / "none.yaml")), 2, "none.yaml")


def test_an_unknown_key_has_its_line_and_a_suggestion(here: Rehearsal, settings: Edit) -> None:
    settings(lambda text: text.replace("    pointer:\n", "    pointr:\n"))
    line = next(number for number, text in enumerate((here.fleet / "bennu.yaml").read_text().splitlines(), 1) if "pointr:" in text)
    for command in (["plan"], ["doctor"], ["status"], ["rotate", "start"], ["clusters", "list"]):
        refused(here.bennu(*command), 2, f"bennu.yaml:{line}", "pointr", "pointer")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("version: 1\n", "version: 1\nversion: 1\n", ["bennu.yaml:3", "version"]),
        ("version: 1\n", "version: [1\n", ["bennu.yaml:"]),
        ("policy: lab\n", "policy: fast\n", ["bennu.yaml:3", "spec", "lab"]),
        ("  branch: main\n", "  branch: -oProxyCommand=x\n", ["bennu.yaml:6", "branch", "-oProxyCommand=x"]),
    ],
    ids=["duplicate key", "malformed", "unknown policy", "option as a name"],
)
def test_malformed_settings(here: Rehearsal, settings: Edit, old: str, new: str, words: list[str]) -> None:
    settings(lambda text: text.replace(old, new))
    refused(here.bennu("rotate", "start", "--yes", "--no-input"), 2, *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--group", "prod/eu-west-9"], "prod/eu-west-9"),
        (["--group", "../x"], "'..'"),
        (["--group", "-oProxyCommand=x/y"], "-oProxyCommand"),
        (["--group", "prod"], "prod"),
        (["--to", "purple"], "purple"),
        (["--to", "blue"], "source already"),
        (["--ticket", "CHG 1\nBennu-Step: x"], "--ticket"),
        (["--stop-after", "TEATIME"], "TEATIME"),
        (["--policy", "fast"], "fast"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_what_is_typed_wrong(here: Rehearsal, words: list[str], said: str) -> None:
    refused(here.bennu("rotate", "start", "--yes", "--no-input", *words), 2, said)


def test_an_unknown_option_is_no_traceback(here: Rehearsal) -> None:
    said = here.bennu("rotate", "start", "--atuo-promote")
    assert said.code == 2
    assert "--auto-promote" in said.err


def test_a_cluster_that_is_not_there_is_not_cleaned_up(here: Rehearsal) -> None:
    refused(here.bennu("rotate", "cleanup", "--colour", "green", "--yes", "--no-input"), 2, "green")


def test_a_colour_that_is_not_configured(here: Rehearsal, settings: Edit) -> None:
    settings(lambda text: "".join(line for line in text.splitlines(keepends=True) if "red: {context" not in line))
    refused(here.bennu("rotate", "start", "--to", "red", "--yes"), 2, "red", "bennu.yaml")


def test_both_contexts_are_one(here: Rehearsal, settings: Edit) -> None:
    settings(lambda text: text.replace("green: {context: lab-green", "green: {context: lab-blue"))
    refused(here.bennu("rotate", "start", "--yes"), 2, "lab-blue")


def test_two_contexts_point_at_one_cluster(here: Rehearsal, settings: Edit) -> None:
    config = here.lab.root / "kubeconfig"
    before = config.read_text()
    found = yaml.safe_load(before)
    found["contexts"].append({"name": "lab-green", "context": found["contexts"][0]["context"]})
    config.write_text(yaml.safe_dump(found))
    try:
        refused(here.bennu("rotate", "start", "--yes"), 2, "one cluster", "UID")
    finally:
        config.write_text(before)


def test_a_context_that_is_not_there(here: Rehearsal, settings: Edit) -> None:
    settings(lambda text: text.replace("blue: {context: lab-blue", "blue: {context: lab-blu"))
    refused(here.bennu("rotate", "start", "--yes"), 2, "lab-blu", "lab-blue")


def test_a_manifest_with_a_duplicate_key(here: Rehearsal) -> None:
    """A broken file on the branch is told with its line; nothing is written over it."""
    path = "clusters/prod/us-east-1/cluster-blue/traffic-state.yaml"
    text = (here.fleet / path).read_text()
    try:
        (here.fleet / path).write_text(text + '  IS_WRITE_MASTER: "true"\n')
        pushed(here, "break it")
        said = here.bennu("rotate", "start", "--yes")
        assert said.code == 2
        assert re.search(r"traffic-state\.yaml:\d+: .*IS_WRITE_MASTER", said.err), said.err
    finally:
        git(here.fleet, "revert", "--no-edit", "HEAD")
        pushed(here, "")


@pytest.mark.parametrize(
    ("what", "words"),
    [("git", ["Git remote"]), ("metrics", ["Prometheus"]), ("redis:blue", ["Redis"])],
    ids=["git", "prometheus", "redis"],
)
def test_what_does_not_answer(here: Rehearsal, what: str, words: list[str]) -> None:
    faults.broken(here.lab, what, "stop" if what.startswith("redis") else "down")
    try:
        refused(here.bennu("rotate", "start", "--yes"), 8, *words)
    finally:
        faults.healed(here.lab, "all")
    assert here.traffic_flows()


def test_an_api_that_does_not_answer(here: Rehearsal, settings: Edit) -> None:
    config = here.lab.root / "kubeconfig"
    before = config.read_text()
    config.write_text(re.sub(r"https://127\.0\.0\.1:\d+", "https://127.0.0.1:1", before))
    try:
        refused(here.bennu("rotate", "start", "--yes"), 8, "lab-blue")
        said = here.bennu("status", "-o", "json")
        assert said.code == 0
        assert "no answer" in here.bennu("status").out
    finally:
        config.write_text(before)


@pytest.mark.parametrize("verb", ["promote", "rollback", "resume", "abort", "pause"])
def test_nothing_to_do(here: Rehearsal, verb: str) -> None:
    refused(here.bennu("rotate", verb, "--no-input"), 3, "bennu rotate start" if verb != "rollback" else "IDLE_STABLE")


def test_break_and_heal_know_their_words(here: Rehearsal) -> None:
    place = ["--dir", str(here.lab.root)]
    refused(here.bennu("lab", "break", "lnk", *place), 2, "did you mean link")
    refused(here.bennu("lab", "break", "redis:green", *place), 2, "green")
    refused(here.bennu("lab", "heal", "git", *place), 2, "git")


def test_a_target_that_exists_already(here: Rehearsal) -> None:
    try:
        folder = here.fleet / "clusters/prod/us-east-1/cluster-green"
        folder.mkdir()
        (folder / "cluster-config.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cluster-config}\ndata: {}\n")
        pushed(here, "a green one")
        refused(here.bennu("rotate", "start", "--yes"), 2, "cluster-green", "--adopt")
    finally:
        git(here.fleet, "revert", "--no-edit", "HEAD")
        pushed(here, "")
