"""DNSEndpoints become records by dynamic update, and only records of the own owner are ever touched."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.message
import dns.rcode
import dns.tsigkeyring
import dns.update

from bennu.lab.client import Access, ApiClient
from bennu.lab.controllers import externaldns
from bennu.lab.controllers.network_informers import Informer, Watched
from bennu.lab.controllers.runtime import ControllerContext
from bennu.lab.places import LabDir
from tests.contract.lab_flux.stand import with_crds
from tests.contract.lab_node.clusters import eventually, lab_cluster, run
from tests.contract.lab_shared.stand import SECRET, lab_dir, names

Json = dict[str, Any]
KEY = dns.tsigkeyring.from_text({"lab-key": SECRET})


@dataclass(frozen=True)
class Stand:
    """A cluster with ExternalDNS, and the name server."""

    client: ApiClient
    port: int

    async def records(self, name: str, kind: str = "CNAME") -> list[str]:
        answer = await dns.asyncquery.udp(dns.message.make_query(name, kind), "127.0.0.1", timeout=5, port=self.port)
        return sorted(line for rrset in answer.answer for line in rrset.to_text().splitlines())

    async def until(self, name: str, *lines: str, kind: str = "CNAME") -> None:
        async def there() -> bool:
            return await self.records(name, kind) == sorted(lines)

        await eventually(there)

    async def by_hand(self, name: str, kind: str, value: str, owner: str = "") -> None:
        update = dns.update.UpdateMessage("lab.test", keyring=KEY)
        update.add(name, 60, kind, value)
        if owner:
            update.add(f"externaldns-{name}", 60, "TXT", f'"heritage=external-dns,external-dns/owner={owner},external-dns/resource=crd/x/y"')
        answer = await dns.asyncquery.tcp(update, "127.0.0.1", timeout=5, port=self.port)
        assert answer.rcode() == dns.rcode.NOERROR

    async def wanted(self, *endpoints: Json, name: str = "public") -> None:
        kind = {"apiVersion": "externaldns.k8s.io/v1alpha1", "kind": "DNSEndpoint", "metadata": {"name": name, "namespace": "flux-system"}}
        await self.client.apply({**kind, "spec": {"endpoints": list(endpoints)}}, "test")

    async def unwanted(self, name: str = "public") -> None:
        await self.client.delete({"apiVersion": "externaldns.k8s.io/v1alpha1", "kind": "DNSEndpoint", "metadata": {"name": name, "namespace": "flux-system"}})

    async def runs(self, replicas: int, *flags: str) -> None:
        """Its Deployment, as if so many of its pods were available."""
        container = {"name": "x", "image": "x", "args": ["--source=crd", "--txt-owner-id=mine", *flags]}
        labels = {"app": "external-dns"}
        spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}
        meta = {"name": "external-dns", "namespace": "external-dns"}
        made = await self.client.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}, "test")
        await self.client.patch_status(made, {"replicas": replicas, "availableReplicas": replicas})


@contextlib.asynccontextmanager
async def stand(root: Path, *flags: str) -> AsyncIterator[Stand]:
    lab: LabDir = lab_dir(root)
    async with names(lab) as port, lab_cluster(root, "blue", only=[externaldns]) as cluster:
        await with_crds(cluster.client)
        for namespace in ("flux-system", "external-dns"):
            await cluster.namespace(namespace)
        made = Stand(cluster.client, port)
        await made.runs(1, *flags)
        yield made


def alias(name: str, target: str, ttl: int = 2) -> Json:
    return {"dnsName": name, "recordType": "CNAME", "recordTTL": ttl, "targets": [target]}


def test_a_record_comes_changes_and_goes_with_its_endpoint(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.wanted(alias("api.lab.test", "ingress-blue.lab.test"))
            await here.until("api.lab.test.", "api.lab.test. 2 IN CNAME ingress-blue.lab.test.")
            assert await here.records("externaldns-api.lab.test.", "TXT") == [
                'externaldns-api.lab.test. 2 IN TXT "heritage=external-dns,external-dns/owner=mine"'
            ]
            await here.wanted(alias("api.lab.test", "ingress-green.lab.test", ttl=5))
            await here.until("api.lab.test.", "api.lab.test. 5 IN CNAME ingress-green.lab.test.")
            await here.unwanted()
            await here.until("api.lab.test.")
            assert await here.records("externaldns-api.lab.test.", "TXT") == []

    run(story)


def test_records_of_others_and_of_nobody_are_left_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.by_hand("theirs", "CNAME", "elsewhere.lab.test.", owner="another")
            await here.by_hand("nobodys", "CNAME", "elsewhere.lab.test.")
            await here.wanted(alias("theirs.lab.test", "mine.lab.test"), alias("nobodys.lab.test", "mine.lab.test"), alias("own.lab.test", "mine.lab.test"))
            await here.until("own.lab.test.", "own.lab.test. 2 IN CNAME mine.lab.test.")
            await here.unwanted()
            await here.until("own.lab.test.")
            for name in ("theirs", "nobodys"):
                assert await here.records(f"{name}.lab.test.") == [f"{name}.lab.test. 60 IN CNAME elsewhere.lab.test."]
            assert await here.records("externaldns-theirs.lab.test.", "TXT")
            assert await here.records("externaldns-nobodys.lab.test.", "TXT") == []

    run(story)


def test_under_policy_sync_a_record_of_the_same_owner_in_another_cluster_is_deleted(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path, "--policy=sync") as here:
            await here.by_hand("api", "CNAME", "ingress-green.lab.test.", owner="mine")
            await here.until("api.lab.test.")

    run(story)


def test_under_policy_upsert_only_nothing_is_deleted(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path, "--policy=upsert-only") as here:
            await here.wanted(alias("api.lab.test", "ingress-blue.lab.test"), name="first")
            await here.until("api.lab.test.", "api.lab.test. 2 IN CNAME ingress-blue.lab.test.")
            await here.unwanted("first")
            await here.wanted(alias("other.lab.test", "ingress-blue.lab.test"), name="second")
            await here.until("other.lab.test.", "other.lab.test. 2 IN CNAME ingress-blue.lab.test.")
            assert await here.records("api.lab.test.") == ["api.lab.test. 2 IN CNAME ingress-blue.lab.test."]

    run(story)


def test_one_endpoint_that_makes_no_sense_holds_up_no_other(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            bad = [{}, {"dnsName": "a.lab.test"}, alias("www.example.com", "x.lab.test"), alias("b.lab.test", "x.lab.test") | {"targets": []}]
            await here.wanted(*bad, {"dnsName": "pool.lab.test", "recordType": "A", "targets": ["10.0.0.1", "10.0.0.2"]})
            await here.until("pool.lab.test.", "pool.lab.test. 300 IN A 10.0.0.1", "pool.lab.test. 300 IN A 10.0.0.2", kind="A")
            assert await here.records("www.example.com.lab.test.") == []

    run(story)


@dataclass
class Looking:
    """The controller without its watches: it looks when the test says so."""

    records: externaldns.Records
    endpoints: Informer
    deployments: Informer

    def runs(self, replicas: int) -> None:
        self._noted(
            self.deployments, "external-dns", {"template": {"spec": {"containers": [{"args": ["--txt-owner-id=mine"]}]}}}, {"availableReplicas": replicas}
        )

    def wants(self, *endpoints: Json) -> None:
        self._noted(self.endpoints, "flux-system", {"endpoints": list(endpoints)}, {})

    def _noted(self, informer: Informer, namespace: str, spec: Json, status: Json) -> None:
        version = str(next(VERSIONS))
        informer.note({"metadata": {"name": "external-dns", "namespace": namespace, "uid": "1", "resourceVersion": version}, "spec": spec, "status": status})


VERSIONS = itertools.count(1)


def looking(lab: LabDir) -> Looking:
    client = ApiClient(Access("https://127.0.0.1:1", "", ""))
    context = ControllerContext(lab.cluster("blue"), client, asyncio.Event())
    endpoints, deployments = Informer(client, externaldns.KIND), Informer(client, Watched("apps/v1", "Deployment"))
    return Looking(externaldns.Records(context, endpoints, deployments), endpoints, deployments)


def test_it_acts_only_while_its_deployment_runs(tmp_path: Path) -> None:
    async def story() -> None:
        lab = lab_dir(tmp_path)
        async with names(lab) as port:
            here, there = looking(lab), Stand(ApiClient(Access("https://127.0.0.1:1", "", "")), port)
            here.wants(alias("api.lab.test", "ingress-blue.lab.test"))
            seen = []
            for replicas in (None, 0, 1):
                if replicas is not None:
                    here.runs(replicas)
                await here.records.look()
                seen.append(len(await there.records("api.lab.test.")))
            assert seen == [0, 0, 1]
            here.wants()
            here.runs(0)
            await here.records.look()
            assert len(await there.records("api.lab.test.")) == 1

    run(story)


def test_a_name_server_that_is_away_or_refuses_is_asked_again(tmp_path: Path) -> None:
    async def story() -> None:
        lab = lab_dir(tmp_path)
        here = looking(lab)
        here.runs(1)
        here.wants(alias("api.lab.test", "ingress-blue.lab.test"))
        assert await here.records.look()
        async with names(lab) as port:
            there = Stand(ApiClient(Access("https://127.0.0.1:1", "", "")), port)
            lab.set_fault("dns", "down")
            assert await here.records.look()
            lab.clear_fault("dns")
            (lab.root / "tsig.key").write_text("lab-key:d3Jvbmc=")
            assert await here.records.look()
            assert await there.records("api.lab.test.") == []
            (lab.root / "tsig.key").write_text(f"lab-key:{SECRET}")
            assert await here.records.look()
            assert await there.records("api.lab.test.") == ["api.lab.test. 2 IN CNAME ingress-blue.lab.test."]

    run(story)
