"""The specification's ``redis-init-sync`` Job: REPLICAOF, issued inside the target with the password from a Secret (never an argument: those reach audit logs)."""

from __future__ import annotations

from dataclasses import dataclass

from bennu.manifests.yaml_write import dumped


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


def manifest(job: SyncJob) -> str:
    """The Job as YAML. No ttl: it is removed from Git by the next step, and Flux prunes it."""
    environment = []
    if job.secret:
        environment = [{"name": "REDISCLI_AUTH", "valueFrom": {"secretKeyRef": {"name": job.secret, "key": job.secret_key}}}]
    arguments = ["redis-cli", "-h", job.host, "-p", str(job.port), "REPLICAOF", job.master_host, str(job.master_port)]
    return dumped(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": job.name, "namespace": job.namespace},
            "spec": {
                "backoffLimit": 6,
                "template": {
                    "metadata": {"labels": {"app": job.name}},
                    "spec": {"restartPolicy": "Never", "containers": [{"name": job.name, "image": job.image, "args": arguments, "env": environment}]},
                },
            },
        }
    )
