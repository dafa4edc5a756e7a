"""cert-manager's stand-in: a certificate that the lab's trust anchor signed, and the bundle that holds the anchor."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from bennu.lab.certs import Authority
from bennu.lab.controllers import certmanager
from tests.contract.lab_flux.stand import conditions, with_crds
from tests.contract.lab_node.clusters import lab_cluster, run

CERTIFICATE = ("cert-manager.io/v1", "Certificate")


def wanted(**spec: Any) -> dict[str, Any]:
    base = {"secretName": "issuer", "commonName": "identity.linkerd.cluster.local", "dnsNames": ["identity.linkerd.cluster.local"], "isCA": True}
    meta = {"name": "issuer", "namespace": "linkerd"}
    return {"apiVersion": CERTIFICATE[0], "kind": CERTIFICATE[1], "metadata": meta, "spec": {**base, "issuerRef": {"name": "vault-pki"}, **spec}}


def test_the_issuer_is_an_intermediate_of_the_trust_anchor(tmp_path: Path) -> None:
    async def story() -> None:
        anchor = Authority.made("root.linkerd.cluster.local", tmp_path / "trust")
        async with lab_cluster(tmp_path, "blue", only=[certmanager]) as cluster:
            await with_crds(cluster.client)
            await cluster.namespace("linkerd")
            await cluster.client.create(wanted())
            secret = await cluster.until("v1", "Secret", lambda objects: objects.get(("linkerd", "issuer")))
            pem = {name: base64.b64decode(value) for name, value in secret["data"].items()}
            found, root = x509.load_pem_x509_certificate(pem["tls.crt"]), x509.load_pem_x509_certificate(anchor.pem.encode())
            found.verify_directly_issued_by(root)
            constraints = found.extensions.get_extension_for_class(x509.BasicConstraints).value
            assert (constraints.ca, constraints.path_length) == (True, 0)
            assert isinstance(found.public_key(), ec.EllipticCurvePublicKey)
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
            assert names == ["identity.linkerd.cluster.local"]
            assert pem["ca.crt"].decode() == anchor.pem
            told = await cluster.until(*CERTIFICATE, lambda objects: next((o for o in objects.values() if (o.get("status") or {}).get("notAfter")), None))
            assert conditions(told) == {"Ready": ("True", "Ready")}
            ends = datetime.strptime(told["status"]["notAfter"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            assert timedelta(days=364) < ends - datetime.now(UTC) < timedelta(days=366)
            bundle = await cluster.until("v1", "ConfigMap", lambda objects: objects.get(("linkerd", "linkerd-identity-trust-roots")))
            assert bundle["data"] == {"ca-bundle.crt": anchor.pem}
            await cluster.client.delete(secret)
            again = await cluster.until("v1", "Secret", lambda objects: objects.get(("linkerd", "issuer")))
            assert again["metadata"]["uid"] != secret["metadata"]["uid"]

    run(story)


def test_an_issuer_that_fails_is_said_and_asked_again(tmp_path: Path) -> None:
    async def story() -> None:
        Authority.made("root.linkerd.cluster.local", tmp_path / "trust")
        key = (tmp_path / "trust" / "ca.key").read_text()
        (tmp_path / "trust" / "ca.key").write_text("nonsense")
        async with lab_cluster(tmp_path, "blue", only=[certmanager]) as cluster:
            await with_crds(cluster.client)
            await cluster.namespace("linkerd")
            await cluster.client.create(wanted())
            told = await cluster.until(*CERTIFICATE, lambda objects: next((o for o in objects.values() if o.get("status")), None))
            assert conditions(told) == {"Ready": ("False", "IssuerNotReady")}
            (tmp_path / "trust" / "ca.key").write_text(key)
            await cluster.until("v1", "Secret", lambda objects: objects.get(("linkerd", "issuer")))

    run(story)
