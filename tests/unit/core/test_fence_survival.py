"""Where a fence would be written, and whether a new pod would read it."""

from __future__ import annotations

from typing import Any

import pytest

from bennu.core.fence_survival import containers, parked_by, parks, reloaded, rewrite_is_lost, seen_by_a_restarted_container


def pod(volumes: list[dict[str, Any]], mounts: list[dict[str, Any]], args: tuple[str, ...] = (), **more: Any) -> Any:
    return containers({"spec": {"volumes": volumes, "containers": [{"name": "redis", "args": list(args), "volumeMounts": mounts}], **more}})


CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "data-redis-0"}}
EMPTY = {"name": "conf", "emptyDir": {}}
CONFIG = {"name": "conf", "configMap": {"name": "redis-config"}}
AT_DATA = {"name": "data", "mountPath": "/data"}
AT_CONF = {"name": "conf", "mountPath": "/etc/redis"}


def test_a_file_on_the_claim_outlives_the_pod() -> None:
    assert rewrite_is_lost("/data/redis.conf", "/data", pod([CLAIM], [AT_DATA])) == ""


@pytest.mark.parametrize(
    ("volumes", "file", "words"),
    [
        ([CLAIM, EMPTY], "/etc/redis/redis.conf", "an emptyDir, which ends with the pod"),
        ([CLAIM, CONFIG], "/etc/redis/redis.conf", "a ConfigMap, which nothing can write"),
        ([CLAIM, EMPTY], "/usr/local/redis.conf", "in the container"),
        ([CLAIM, EMPTY], "", "without a configuration file"),
        ([CLAIM, {"name": "conf", "hostPath": {"path": "/var"}}], "/etc/redis/redis.conf", "kind hostPath"),
    ],
)
def test_a_file_elsewhere_does_not(volumes: list[dict[str, Any]], file: str, words: str) -> None:
    assert words in rewrite_is_lost(file, "/data", pod(volumes, [AT_DATA, AT_CONF]))


def test_the_deepest_mount_decides() -> None:
    inner = {"name": "conf", "mountPath": "/data/conf"}
    assert "emptyDir" in rewrite_is_lost("/data/conf/redis.conf", "/data", pod([CLAIM, EMPTY], [AT_DATA, inner]))


def test_a_data_directory_that_is_no_claim_is_found() -> None:
    assert "emptyDir" in rewrite_is_lost("/data/redis.conf", "/data", pod([{"name": "data", "emptyDir": {}}], [AT_DATA]))


def test_where_the_server_has_other_words_for_the_path_its_arguments_count() -> None:
    running = pod([CLAIM], [AT_DATA], ("valkey-server", "/data/redis.conf"))
    assert rewrite_is_lost("/var/lib/kubelet/pods/1/redis.conf", "/var/lib/kubelet/pods/1", running) == ""


def test_of_a_server_without_a_pod_the_data_directory_is_asked() -> None:
    assert rewrite_is_lost("/var/lib/redis/redis.conf", "/var/lib/redis", None) == ""
    assert "outside its data directory" in rewrite_is_lost("/etc/redis/redis.conf", "/var/lib/redis", None)


def test_an_init_containers_mount_is_not_where_the_server_writes() -> None:
    seeded = pod([CLAIM, EMPTY], [AT_CONF], initContainers=[{"name": "seed", "volumeMounts": [{"name": "data", "mountPath": "/etc/redis"}]}])
    assert "emptyDir" in rewrite_is_lost("/etc/redis/redis.conf", "/data", seeded)


@pytest.mark.parametrize(
    ("text", "found"), [("replicaof 127.0.0.1 1", True), ("  SlaveOf host 6379\n", True), ("replicaof no one", False), ("# replicaof a 1", False), ("", False)]
)
def test_a_configuration_that_parks_is_known(text: str, found: bool) -> None:
    assert parks(f"appendonly yes\n{text}\n") is found


def test_what_a_start_reads_is_found_by_its_mount_and_a_subpath_never_changes_in_a_running_pod() -> None:
    whole = pod([CLAIM, CONFIG], [AT_DATA, AT_CONF])
    data = {"redis-config": {"role.conf": "replicaof 127.0.0.1 1"}, "other": {"x": "replicaof 127.0.0.1 1"}}
    assert [mount.source for mount in parked_by(whole, data)] == ["redis-config"]
    assert seen_by_a_restarted_container(whole, parked_by(whole, data))
    part = pod([CLAIM, CONFIG], [AT_DATA, {**AT_CONF, "subPath": "role.conf"}])
    assert not seen_by_a_restarted_container(part, parked_by(part, data))
    assert parked_by(whole, {"redis-config": {"role.conf": ""}}) == ()


@pytest.mark.parametrize(
    ("annotations", "found"),
    [
        ({"reloader.stakater.com/auto": "true"}, True),
        ({"configmap.reloader.stakater.com/reload": "redis-config"}, True),
        ({"reloader.stakater.com/auto": "false"}, False),
        ({"prometheus.io/scrape": "true"}, False),
    ],
)
def test_a_reloader_is_known_by_its_annotation(annotations: dict[str, str], found: bool) -> None:
    assert bool(reloaded(annotations)) is found
