"""The smaller documents: cluster-config, dns, the Link and its credentials, the sync Job, Flux' file, and the layout of a directory."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
import yaml

from bennu.core.clusters import Colour, Group
from bennu.errors import ConfigError
from bennu.manifests import cluster_config, dns_endpoint, flux_sync, link, redis_sync_job, tree, yaml_write
from tests.unit.manifests.texts import changed, trees

GROUP = Group("prod", "us-east-1")

CONFIG = """\
# What identifies this cluster.
kind: ConfigMap
metadata: {name: cluster-config}
data:
  CLUSTER_NAME: cluster-blue # its name
  CLUSTER_COLOUR: blue
  GROUP: prod/us-east-1
  CLUSTER_UID: 0d5c
  VPC_ID: vpc-123 # from the provisioner
"""


def test_a_clusters_config_is_text_to_text() -> None:
    assert cluster_config.parse(CONFIG, "f")["VPC_ID"] == "vpc-123"
    assert cluster_config.parse("kind: ConfigMap\ndata: {a: true, b: 5, c: }\n", "f") == {"a": "true", "b": "5", "c": ""}
    assert cluster_config.parse("kind: ConfigMap\n", "f") == {}


def test_what_the_provisioner_says_is_added_in_order_and_as_text() -> None:
    edited = cluster_config.edited(CONFIG, {"ZONE": "a", "ACCOUNT": "0123", "VPC_ID": "vpc-9"}, "f")
    assert changed(CONFIG, edited) == (
        ["  VPC_ID: vpc-123 # from the provisioner\n"],
        ["  VPC_ID: vpc-9 # from the provisioner\n", '  ACCOUNT: "0123"\n', "  ZONE: a\n"],
    )


def test_a_new_clusters_config_has_its_identity_and_nothing_of_anothers() -> None:
    fresh = cluster_config.fresh(CONFIG, GROUP, Colour.GREEN, "f")
    assert cluster_config.parse(fresh, "f") == {"CLUSTER_NAME": "cluster-green", "CLUSTER_COLOUR": "green", "GROUP": "prod/us-east-1"}
    assert fresh.startswith("# What identifies this cluster.\n")
    assert "# its name" in fresh


@pytest.mark.parametrize("text", ["kind: ConfigMap\n", "kind: ConfigMap\ndata: {}\n", "kind: ConfigMap\ndata:\n  OTHER: x\n"])
def test_an_identity_is_written_where_there_was_none(text: str) -> None:
    assert set(cluster_config.parse(cluster_config.fresh(text, GROUP, Colour.RED, "f"), "f")) == {"CLUSTER_NAME", "CLUSTER_COLOUR", "GROUP"}


@pytest.mark.parametrize("text", ["kind: ConfigMap\ndata: [a]\n", "kind: ConfigMap\ndata: text\n", "kind: Secret\n", "a: ["])
def test_another_shape_of_config_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^f\.yaml"):
        cluster_config.parse(text, "f.yaml")


# DNS

DNS = """\
kind: DNSEndpoint
spec:
  endpoints:
    - dnsName: api.acme.com. # ours
      recordType: CNAME
      recordTTL: 60
      targets:
        - old.elb.amazonaws.com # the load balancer
    - {dnsName: api.acme.com, recordType: TXT, targets: ["v=1"]}
    - {dnsName: www.acme.com, recordType: A, recordTTL: 300, targets: [203.0.113.1, 203.0.113.2]}
    - {dnsName: bare.acme.com, targets: [x]}
"""


def test_a_record_points_at_the_load_balancer_alone_and_the_rest_stays() -> None:
    edited = dns_endpoint.edited(DNS, ("api.acme.com",), "new.elb.amazonaws.com", "f")
    assert changed(DNS, edited) == (["        - old.elb.amazonaws.com # the load balancer\n"], ["        - new.elb.amazonaws.com # the load balancer\n"])
    assert dns_endpoint.edited(edited, ("API.acme.com.",), "old.elb.amazonaws.com", "f") == DNS


def test_one_endpoint_of_several_is_found_by_its_name() -> None:
    named = [DNS.replace("kind: DNSEndpoint\n", f"kind: DNSEndpoint\nmetadata: {{name: {name}, namespace: flux-system}}\n") for name in ("public", "other")]
    two = "---\n".join(named)
    with pytest.raises(ConfigError, match="one DNSEndpoint was expected, 2 found"):
        dns_endpoint.edited(two, ("api.acme.com",), "new.elb.amazonaws.com", "f")
    edited = dns_endpoint.edited(two, ("api.acme.com",), "new.elb.amazonaws.com", "f", ("flux-system", "other"))
    assert edited.startswith(f"{named[0]}---\n")
    assert edited.count("new.elb.amazonaws.com") == 1
    assert dns_endpoint.ttl(edited, "f", ("flux-system", "other")) == 300
    with pytest.raises(ConfigError, match="one DNSEndpoint flux-system/absent was expected, 0 found"):
        dns_endpoint.ttl(edited, "f", ("flux-system", "absent"))


def test_several_targets_become_one() -> None:
    edited = dns_endpoint.edited(DNS, ("www.acme.com",), "203.0.113.9", "f")
    assert 'recordTTL: 300, targets: ["203.0.113.9"]}' in edited


def test_a_record_without_a_type_takes_what_comes() -> None:
    for balancer in ("203.0.113.9", "lb.example", "2001:db8::1"):
        assert trees(dns_endpoint.edited(DNS, ("bare.acme.com",), balancer, "f"))[0]["spec"]["endpoints"][3]["targets"] == [balancer]


@pytest.mark.parametrize(
    ("record", "balancer", "needs"), [("api.acme.com", "203.0.113.9", "A"), ("www.acme.com", "lb.example", "CNAME"), ("www.acme.com", "2001:db8::1", "AAAA")]
)
def test_a_record_whose_type_cannot_hold_the_load_balancer_is_refused(record: str, balancer: str, needs: str) -> None:
    with pytest.raises(ConfigError, match=f"the load balancer {balancer} needs {needs}"):
        dns_endpoint.edited(DNS, (record,), balancer, "f")


def test_a_record_that_is_not_there_or_there_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"has no record shop\.acme\.com"):
        dns_endpoint.edited(DNS, ("shop.acme.com",), "lb", "f")
    with pytest.raises(ConfigError, match=r"has 2 records api\.acme\.com"):
        dns_endpoint.edited(DNS + "    - {dnsName: api.acme.com, recordType: CNAME, targets: [y]}\n", ("api.acme.com",), "lb", "f")


def test_the_longest_time_to_live_is_waited_for() -> None:
    assert dns_endpoint.ttl(DNS, "f") == 300
    assert dns_endpoint.ttl("kind: DNSEndpoint\nspec: {endpoints: [{dnsName: a}]}\n", "f") == 0
    assert dns_endpoint.ttl("", "f") == 0


@pytest.mark.parametrize(
    "text",
    [
        "kind: DNSEndpoint\nspec: {endpoints: [{recordTTL: soon}]}\n",
        "kind: DNSEndpoint\nspec: {endpoints: {a: b}}\n",
        "kind: DNSEndpoint\nspec: [a]\n",
        "kind: X\n",
    ],
)
def test_another_shape_of_dns_file_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^f\.yaml"):
        dns_endpoint.ttl(text, "f.yaml")


# The Link

SPEC = link.LinkSpec("cluster-blue", "linkerd-multicluster", "10.0.0.1,10.0.0.2", "4143", "4191", "3s")


def test_a_link_is_what_linkerds_schema_takes() -> None:
    found = yaml.safe_load(link.manifest(SPEC))
    assert (found["apiVersion"], found["kind"], found["metadata"]) == (
        "multicluster.linkerd.io/v1alpha3",
        "Link",
        {"name": "cluster-blue", "namespace": "linkerd-multicluster"},
    )
    spec: dict[str, Any] = found["spec"]
    assert spec["gatewayPort"] == "4143", "ports are text: a number fails the schema"
    assert spec["probeSpec"] == {"failureThreshold": "3", "path": "/ready", "period": "3s", "port": "4191", "timeout": "30s"}
    assert spec["selector"] == {"matchLabels": {"mirror.linkerd.io/exported": "true"}}, "without a selector nothing is mirrored"
    assert spec["clusterCredentialsSecret"] == "cluster-credentials-cluster-blue"
    assert spec["gatewayIdentity"] == "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local"
    assert (spec["targetClusterName"], spec["targetClusterDomain"], spec["targetClusterLinkerdNamespace"]) == ("cluster-blue", "cluster.local", "linkerd")
    assert spec["gatewayAddress"] == "10.0.0.1,10.0.0.2"


def test_a_link_holds_no_secret() -> None:
    assert "token" not in link.manifest(SPEC).lower()


def test_the_mirror_controllers_kubeconfig_is_complete() -> None:
    found = json.loads(link.peer_kubeconfig("cluster-blue", "https://10.0.0.1:6443", "PEM", "secret-token"))
    assert found["current-context"] == found["contexts"][0]["name"] == "cluster-blue"
    cluster = found["clusters"][0]["cluster"]
    assert cluster["server"] == "https://10.0.0.1:6443"
    assert base64.b64decode(cluster["certificate-authority-data"]) == b"PEM"
    assert found["users"][0]["user"] == {"token": "secret-token"}
    assert "certificate-authority-data" not in json.loads(link.peer_kubeconfig("a", "b", "", "c"))["clusters"][0]["cluster"]


def test_the_credentials_are_one_secret_for_the_mirror_and_a_labelled_one_for_the_control_plane() -> None:
    first, second = link.credentials("cluster-blue", "linkerd-multicluster", "linkerd", "KUBECONFIG")
    for one, namespace in ((first, "linkerd-multicluster"), (second, "linkerd")):
        assert one["type"] == "mirror.linkerd.io/remote-kubeconfig"
        assert one["stringData"] == {"kubeconfig": "KUBECONFIG"}
        assert one["metadata"]["name"] == "cluster-credentials-cluster-blue"
        assert one["metadata"]["namespace"] == namespace
    assert "labels" not in first["metadata"]
    assert second["metadata"]["labels"] == {"multicluster.linkerd.io/cluster-name": "cluster-blue"}


# The Job

JOB = redis_sync_job.SyncJob("redis-init-sync", "database", "redis:7", "redis.database", 6379, "redis-cluster-blue.database", 6380, "redis-auth", "password")


def test_the_job_makes_the_target_follow_and_takes_its_password_from_a_secret() -> None:
    found = yaml.safe_load(redis_sync_job.manifest(JOB))
    pod = found["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    assert container["args"] == ["redis-cli", "-h", "redis.database", "-p", "6379", "REPLICAOF", "redis-cluster-blue.database", "6380"]
    assert container["env"] == [{"name": "REDISCLI_AUTH", "valueFrom": {"secretKeyRef": {"name": "redis-auth", "key": "password"}}}]
    assert "-a" not in container["args"]
    assert "ttlSecondsAfterFinished" not in found["spec"]


def test_a_redis_without_a_password_needs_no_secret() -> None:
    text = redis_sync_job.manifest(redis_sync_job.SyncJob("j", "n", "i", "h", 1, "m", 2, "", ""))
    assert "secretKeyRef" not in text
    assert yaml.safe_load(text)["spec"]["template"]["spec"]["containers"][0]["env"] == []


def test_the_job_names_an_acl_user() -> None:
    (container,) = yaml.safe_load(redis_sync_job.manifest(replace(JOB, username="bennu")))["spec"]["template"]["spec"]["containers"]
    assert container["args"][5:7] == ["--user", "bennu"]


def test_over_tls_the_job_trusts_one_authority_and_shows_a_certificate_where_one_is_asked_for() -> None:
    found = yaml.safe_load(redis_sync_job.manifest(replace(JOB, tls=redis_sync_job.JobTls("redis-ca", "ca.pem", "redis-client"))))
    pod = found["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    flags = ["--tls", "--cacert", "/redis-ca/ca.pem", "--cert", "/redis-client/tls.crt", "--key", "/redis-client/tls.key"]
    assert container["args"] == ["redis-cli", "-h", "redis.database", "-p", "6379", *flags, "REPLICAOF", "redis-cluster-blue.database", "6380"]
    assert pod["volumes"] == [{"name": "redis-ca", "secret": {"secretName": "redis-ca"}}, {"name": "redis-client", "secret": {"secretName": "redis-client"}}]
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/redis-ca", "/redis-client"]
    plain = redis_sync_job.manifest(replace(JOB, tls=redis_sync_job.JobTls("redis-ca", "ca.crt")))
    assert "--cert " not in plain
    assert "redis-client" not in plain


# Flux' own file


def test_flux_file_gives_its_objects_and_skips_what_is_none() -> None:
    text = "---\napiVersion: a/v1\nkind: GitRepository\n---\n# comment\n---\napiVersion: b/v1\nkind: Kustomization\n---\nkind: NoVersion\n"
    assert [one["kind"] for one in flux_sync.objects(text, "f")] == ["GitRepository", "Kustomization"]


# The directory

FILES = {
    "clusters/prod/us-east-1/cluster-blue/cluster-config.yaml": "data:\n  CLUSTER_NAME: cluster-blue\n",
    "clusters/prod/us-east-1/cluster-blue/flux-system/gotk-sync.yaml": "path: ./clusters/prod/us-east-1/cluster-blue\n",
    "clusters/prod/us-east-1/cluster-blue/links/cluster-red.yaml": "kind: Link\n",
    "clusters/prod/us-east-1/cluster-blue/links/.gitkeep": "",
    "clusters/prod/us-east-1/cluster-blue/dns.yaml": "kind: DNSEndpoint\n",
}
LAYOUT = "clusters/{env}/{region}/cluster-{colour}"


def test_a_directory_is_copied_with_its_colour_and_without_its_links() -> None:
    found = tree.copied(FILES, GROUP, Colour.BLUE, Colour.GREEN, layout=LAYOUT, leave_out=("dns.yaml",))
    assert found == {
        "clusters/prod/us-east-1/cluster-green/cluster-config.yaml": "data:\n  CLUSTER_NAME: cluster-green\n",
        "clusters/prod/us-east-1/cluster-green/flux-system/gotk-sync.yaml": "path: ./clusters/prod/us-east-1/cluster-green\n",
        "clusters/prod/us-east-1/cluster-green/links/.gitkeep": "",
    }


def test_a_layout_may_end_in_a_slash_and_put_the_parts_in_any_order() -> None:
    assert tree.cluster_dir("{colour}/{region}/{env}/", GROUP, Colour.RED) == "red/us-east-1/prod"


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("cluster-blue", "cluster-green"),
        ("a/cluster-blue/b", "a/cluster-green/b"),
        ("host: cluster-blue.acme.com", "host: cluster-green.acme.com"),
        ("cluster-blue cluster-blue", "cluster-green cluster-green"),
        ("cluster-blueprint", "cluster-blueprint"),
        ("cluster-blue-2", "cluster-blue-2"),
        ("my-cluster-blue", "my-cluster-blue"),
        ("redis-cluster-blue", "redis-cluster-blue"),
        ("xcluster-blue", "xcluster-blue"),
        ("blue", "blue"),
        ("cluster_blue", "cluster_blue"),
    ],
)
def test_only_the_clusters_whole_name_is_recoloured(text: str, after: str) -> None:
    assert tree.recoloured(text, Colour.BLUE, Colour.GREEN) == after


def test_what_still_names_the_source_is_listed_with_its_line() -> None:
    files = {"b.yaml": "a: 1\nmirror: redis-cluster-blue\n# blueprint\nvpc: vpc_blue_1\n", "a.yaml": "colour: blue\n"}
    assert list(tree.still_names_source(files, Colour.BLUE)) == [
        ("a.yaml", 1, "colour: blue"),
        ("b.yaml", 2, "mirror: redis-cluster-blue"),
        ("b.yaml", 4, "vpc: vpc_blue_1"),
    ]


# New text


@pytest.mark.parametrize(
    "value",
    [
        "no",
        "Yes",
        "on",
        "12:30:45",
        "1_000",
        "2026-01-01",
        "0123",
        "",
        "~",
        "null",
        "+1",
        "true",
        "a\nb\n",
        "a\n\n",
        " a\nb",
        "a\tb\nc",
        "x" * 20_000 + " y",
        "ü",
        "a: b",
    ],
)
def test_new_text_is_read_back_by_an_older_reader_as_the_same(value: str) -> None:
    text = yaml_write.dumped({"k": [value, {"m": value}]})
    assert yaml.safe_load(text) == {"k": [value, {"m": value}]}
    assert trees(text) == [{"k": [value, {"m": value}]}]


def test_new_documents_keep_the_order_that_they_were_given() -> None:
    assert yaml_write.dumped({"b": 1, "a": {"z": None, "c": [1, "x"]}}) == "b: 1\na:\n  z:\n  c:\n    - 1\n    - x\n"


def test_long_lines_are_not_folded() -> None:
    assert len(yaml_write.dumped({"k": "word " * 5000 + "end"}).splitlines()) == 1
