"""Whole labs, as a user starts and ends them: by the command, judged by the machine's process table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bennu.lab import audit, spawn, world
from bennu.lab.places import LabDir

DEADLINE = 150.0


def bennu(*arguments: str, expected: int = 0, **env: str) -> str:
    """Run ``bennu lab …``; what it wrote."""
    ran = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=DEADLINE, env={**os.environ, **env}, check=False)
    assert ran.returncode == expected, ran.stderr
    return ran.stdout + ran.stderr


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bennu", "lab", *arguments]


def status(lab: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bennu("status", "--dir", str(lab), "-o", "json"))
    return found


def paid(lab: Path) -> int:
    return int(world.traffic(LabDir(lab))["acknowledged_total"])


def working_in(lab: Path) -> list[str]:
    """Every process of the machine that names the directory, or works for a cluster in it."""
    named = [text for pid, text in spawn.commands().items() if str(lab) in text and pid != os.getpid()]
    return [*named, *(one["command"] for one in spawn.strays(lab))]


@pytest.fixture
def labs(tmp_path: Path) -> Iterator[list[Path]]:
    """Directories for labs, one with a name that nobody would choose; what lives in them at the end is ended."""
    found = [tmp_path / "one", tmp_path / "mein läb, #2"]
    yield found
    for root in found:
        spawn.end(spawn.strays(root))


@pytest.mark.scenario  # half a minute
def test_two_labs_live_side_by_side_and_each_ends_alone(labs: list[Path]) -> None:
    starting = [
        subprocess.Popen(command("up", "--name", f"lab-{number}", "--dir", str(lab), "--active", colour))
        for (number, lab), colour in zip(enumerate(labs), ("blue", "red"), strict=True)
    ]
    assert [process.wait(DEADLINE) for process in starting] == [0, 0]
    one, other = (status(lab) for lab in labs)
    assert (one["clusters"], other["clusters"]) == (["blue"], ["red"])
    for key in ("ports", "processes"):
        values = [set(found["ports"].values()) if key == "ports" else {each["pid"] for each in found["processes"]} for found in (one, other)]
        assert not values[0] & values[1]
    for found in (one, other):
        assert all(each["alive"] for each in found["processes"])
        names = {each["name"].split("/")[-1] for each in found["processes"]}
        assert names == {"shared", "traffic", "kubeapi", "controllers", "apisix", "payment-service", "webhook-dispatcher", "redis"} | (
            names & {"settlement-batch"}
        )
        assert found["memory_mb"] == pytest.approx(sum(each["memory_mb"] for each in found["processes"]), abs=0.1)
    assert "runs already" in bennu("up", "--dir", str(labs[0]))

    # A fault of one is none of the other's.
    bennu("break", "git", "--dir", str(labs[1]))
    assert (LabDir(labs[0]).faults(), LabDir(labs[1]).faults()) == ({}, {"git": "down"})
    assert "did you mean git" in bennu("break", "gti", "--dir", str(labs[1]), expected=2)
    assert "did you mean metrics" in bennu("heal", "metrcs", "--dir", str(labs[1]), expected=2)
    assert "git" in bennu("heal", "--dir", str(labs[1]))

    # A second cluster, and all of it stays small.
    provisioned = subprocess.run(
        [sys.executable, "-m", "bennu.lab.provision", "up", "--lab", str(labs[1]), "--colour", "green"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    assert json.loads(provisioned.stdout)["lb_host"] == "ingress-green.lab.test"
    both = world.status(LabDir(labs[1]))
    assert both.clusters == ("green", "red")
    assert both.memory_mb < 430

    assert "processes ended" in bennu("down", "--dir", str(labs[1]))
    assert working_in(labs[1]) == []
    assert not labs[1].exists()
    before = paid(labs[0])
    assert spawn.until(lambda: paid(labs[0]) > before, DEADLINE)
    bennu("down", "--dir", str(labs[0]))
    assert working_in(labs[0]) == []
    assert not labs[0].exists()
    assert "there is no lab" in bennu("down", "--dir", str(labs[0]), expected=2)


@pytest.mark.parametrize("reached", ["lab.json", "clusters/blue/cluster.json", "clusters/blue/pids.json"])
def test_a_start_that_is_killed_leaves_nothing_that_down_cannot_end(labs: list[Path], reached: str) -> None:
    lab = labs[0]
    starting = subprocess.Popen(command("up", "--dir", str(lab)), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        assert spawn.until((lab / reached).exists, DEADLINE, period=0.001)
    finally:
        starting.kill()
        starting.wait()
    bennu("status", "--dir", str(lab), "-o", "json")
    bennu("down", "--dir", str(lab))
    assert working_in(lab) == []
    assert not lab.exists()


def test_a_start_that_fails_ends_what_it_started(labs: list[Path], tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'fatal: no, thank you' >&2\nexit 128\n")
    fake.chmod(0o755)
    said = bennu("up", "--dir", str(labs[0]), expected=8, PATH=f"{fake.parent}:{os.environ['PATH']}")
    assert "git init failed: fatal: no, thank you" in said
    assert working_in(labs[0]) == []
    assert not labs[0].exists()


def test_a_directory_that_is_somebody_elses_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir(mode=0o755)
    (taken / "precious").write_text("mine")
    assert "is not empty" in bennu("up", "--dir", str(taken), expected=2)
    assert (taken / "precious").read_text() == "mine"
    assert [entry.name for entry in taken.iterdir()] == ["precious"]
    assert taken.stat().st_mode & 0o777 == 0o755
    assert "there is no lab" in bennu("down", "--dir", str(taken), expected=2)
    assert (taken / "precious").read_text() == "mine"
    assert "cannot be a lab's directory" in bennu("up", "--dir", str(taken / "precious"), expected=2)
    assert "cannot be a lab's directory" in bennu("up", "--dir", str(taken / "precious" / "below"), expected=2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--active", "purple"), "choose one of red, blue, green"),
        (("--active", "bleu"), "choose one of red, blue, green"),
        (("--name", "../x"), "../x"),
        (("--provisioner", "pulumi"), "choose command or terraform"),
    ],
)
def test_what_was_typed_wrong_is_refused_before_anything_is_made(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    assert words in bennu("up", "--dir", str(tmp_path / "lab"), *arguments, expected=2)
    assert not (tmp_path / "lab").exists()


def test_a_stray_is_a_program_of_this_lab_and_no_other(tmp_path: Path) -> None:
    lab, namesake = tmp_path / "lab", tmp_path / "lab2"
    sleeping = "import sys, threading; print(flush=True); threading.Event().wait()"
    # Named by an argument, by a pod's environment, of a lab whose name begins alike, and a bystander that only names the directory.
    shapes: list[tuple[list[str], dict[str, str]]] = [
        (["-m", "bennu.lab.shared", "--lab", str(lab)], {}),
        (["-m", "bennu.lab.pods.consumer"], {"BENNU_LAB_CLUSTER": str(lab / "clusters" / "blue")}),
        (["-m", "bennu.lab.pods.consumer"], {"BENNU_LAB_CLUSTER": str(namesake / "clusters" / "blue")}),
        ([str(lab)], {}),
    ]
    children = [subprocess.Popen([sys.executable, "-c", sleeping, *words], env={**os.environ, **env}, stdout=subprocess.PIPE) for words, env in shapes]
    try:
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()
        found = spawn.strays(lab)
        assert {one["pid"] for one in found} == {children[0].pid, children[1].pid}
        assert {one["pid"] for one in spawn.strays(lab, {children[0].pid})} == {children[1].pid}
        # Nobody reaps them but this test: what is ended stays a zombie, which is no process any more.
        assert spawn.end(found) == 2
        assert spawn.strays(lab) == []
        assert [child.poll() is None for child in children] == [False, False, True, True]
    finally:
        for child in children:
            child.kill()
            child.wait()
            assert child.stdout is not None
            child.stdout.close()


def test_a_pid_that_is_somebody_elses_by_now_is_never_signalled() -> None:
    assert spawn.end([{"pid": os.getpid(), "started": "at another time"}]) == 0


def test_the_memory_of_a_process_is_told_and_of_none_is_zero() -> None:
    assert 1 < spawn.memory_mb(os.getpid()) < 2000
    assert spawn.memory_mb(2**22 + 1) == 0


def test_a_lab_does_not_inherit_git_or_proxies_of_the_user() -> None:
    made = spawn.environment({"GIT_DIR": "/elsewhere", "http_proxy": "http://proxy:1", "NO_PROXY": "corp", "HOME": "/home/me"})
    assert "GIT_DIR" not in made
    assert (made["no_proxy"], made["NO_PROXY"], made["HOME"]) == ("127.0.0.1,localhost", "corp,127.0.0.1,localhost", "/home/me")


def test_what_passes_by_is_no_stray_and_what_stays_is(tmp_path: Path) -> None:
    lab = LabDir(tmp_path / "lab")
    lab.root.mkdir()
    passing = "import threading; print(flush=True); threading.Event().wait(1)"
    staying = "import threading; print(flush=True); threading.Event().wait()"
    children = [
        subprocess.Popen([sys.executable, "-c", text, "-m", "bennu.lab.shared", "--lab", str(lab.root)], stdout=subprocess.PIPE) for text in (passing, staying)
    ]
    try:
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()
        assert [line.split()[0] for line in audit.strays(lab, (), 3)] == [str(children[1].pid)]
        assert audit.strays(lab, (children[1].pid,)) == []
    finally:
        for child in children:
            child.kill()
            child.wait()
            assert child.stdout is not None
            child.stdout.close()
