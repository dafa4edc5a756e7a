"""The specification's ``redis-init-sync`` Job: REPLICAOF, issued inside the target with the password from a Secret (never an argument: those reach audit logs)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bennu.manifests.yaml_write import dumped


@dataclass(frozen=True)
class JobTls:
    """Secrets of the Job's namespace: the authority's and its key; ``client_secret`` (``tls.crt``, ``tls.key``) empty where no client certificate is asked for."""

    ca_secret: str
    ca_key: str
    client_secret: str = ""


@dataclass(frozen=True)
class SyncJob:
    """``host:port`` is the target's Redis, ``master_*`` the mirror of the source's; ``secret`` empty where Redis asks no password."""

    name: str
    namespace: str
    image: str
    host: str
    port: int
    master_host: str
    master_port: int
    secret: str
    secret_key: str
    username: str = ""
    tls: JobTls | None = None


def manifest(job: SyncJob) -> str:
    """The Job as YAML. No ttl: it is removed from Git by the next step, and Flux prunes it."""
    environment = []
    if job.secret:
        environment = [{"name": "REDISCLI_AUTH", "valueFrom": {"secretKeyRef": {"name": job.secret, "key": job.secret_key}}}]
    flags, volumes = _tls(job.tls)
    flags += ["--user", job.username] if job.secret and job.username else []
    arguments = ["redis-cli", "-h", job.host, "-p", str(job.port), *flags, "REPLICAOF", job.master_host, str(job.master_port)]
    container: dict[str, Any] = {"name": job.name, "image": job.image, "args": arguments, "env": environment}
    pod: dict[str, Any] = {"restartPolicy": "Never", "containers": [container]}
    if volumes:
        container["volumeMounts"] = [{"name": volume["name"], "mountPath": f"/{volume['name']}", "readOnly": True} for volume in volumes]
        pod["volumes"] = volumes
    return dumped(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": job.name, "namespace": job.namespace},
            "spec": {
                "backoffLimit": 6,
                "template": {
                    "metadata": {"labels": {"app": job.name}},
                    "spec": pod,
                },
            },
        }
    )


def _tls(tls: JobTls | None) -> tuple[list[str], list[dict[str, Any]]]:
    """redis-cli's flags, and the volumes that they read from. The name asked for (``--sni``) is the host's; redis-cli verifies the chain alone."""
    if tls is None:
        return [], []
    flags, volumes = ["--tls", "--cacert", f"/redis-ca/{tls.ca_key}"], [{"name": "redis-ca", "secret": {"secretName": tls.ca_secret}}]
    if tls.client_secret:
        flags += ["--cert", "/redis-client/tls.crt", "--key", "/redis-client/tls.key"]
        volumes.append({"name": "redis-client", "secret": {"secretName": tls.client_secret}})
    return flags, volumes
