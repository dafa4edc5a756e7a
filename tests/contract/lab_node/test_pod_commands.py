"""What a container's spec says is what its process gets."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bennu.lab.controllers.kubelet_commands import ContainerConfigError, Surroundings, command_of, expanded, is_emulated, is_redis, lab_program, relocated


def around(**changes: Any) -> Surroundings:
    return Surroundings(**{"value_of": lambda source: None, **changes})


def test_the_image_decides_what_runs() -> None:
    assert lab_program("bennu.lab/payment") == "payment"
    assert lab_program("bennu.lab/payment:1.2") == "payment"
    assert lab_program("ghcr.io/bennu.lab/payment") is None
    assert is_redis("valkey/valkey:9.0")
    assert is_redis("redis:7")
    assert is_redis("docker.io/library/redis@sha256:aa")
    assert not is_redis("redis-exporter:1")
    assert is_emulated("ghcr.io/fluxcd/source-controller:v1.7.0")


def test_a_lab_image_is_a_module_of_the_pods_package() -> None:
    command = command_of({"image": "bennu.lab/payment", "args": ["--slow"]}, around())
    assert command.argv == (sys.executable, "-m", "bennu.lab.pods.payment", "--slow")


def test_redis_listens_on_its_real_port_whatever_its_file_says(tmp_path: Path) -> None:
    container = {"image": "valkey/valkey:9", "args": ["valkey-server", "/data/redis.conf"], "ports": [{"containerPort": 6379}]}
    command = command_of(container, around(mounts={"/data": tmp_path}, ports={6379: 20001}, redis_server="/bin/valkey-server"))
    assert command.argv == ("/bin/valkey-server", f"{tmp_path}/redis.conf", "--port", "20001")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("$(HOST):$(PORT)", "db:1"), ("$(NONE)", "$(NONE)"), ("$$(HOST)", "$(HOST)"), ("cost: 5$", "cost: 5$"), ("$HOST", "$HOST")],
)
def test_references_are_expanded_as_kubernetes_does(text: str, expected: str) -> None:
    assert expanded(text, {"HOST": "db", "PORT": "1"}) == expected


def test_only_paths_under_a_mount_are_rewritten() -> None:
    mounts: Mapping[str, Path] = {"/data": Path("/real/data"), "/data/deep": Path("/real/deep")}
    assert relocated("/data/a", mounts) == "/real/data/a"
    assert relocated("/data/deep/a", mounts) == "/real/deep/a"
    assert relocated("--file=/data/a", mounts) == "--file=/real/data/a"
    assert relocated("/database/a", mounts) == "/database/a"


def test_a_missing_secret_key_keeps_the_container_from_starting_and_names_it() -> None:
    env = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "redis-auth", "key": "redis-password"}}}]
    with pytest.raises(ContainerConfigError, match="secret 'redis-auth', key 'redis-password'"):
        command_of({"image": "bennu.lab/payment", "env": env}, around())


def test_an_optional_source_without_value_is_left_out() -> None:
    env = [{"name": "EXTRA", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b", "optional": True}}}]
    assert "EXTRA" not in command_of({"image": "bennu.lab/payment", "env": env}, around()).env


def test_variables_may_refer_to_earlier_ones_and_to_real_ports() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(PORT_8080)"}]
    assert command_of({"image": "bennu.lab/payment", "env": env}, around(ports={8080: 20007})).env["B"] == "1-20007"
