"""What holds state: the write pointer, Redis, and what lives elsewhere."""

from __future__ import annotations

from collections import Counter
from typing import Literal, Self

from pydantic import Field, model_validator

from bennu.manifests.traffic_state import Keys
from bennu.settings.fields import ColouredSecretRef, ColourTemplate, DataKey, Flag, Label, Line, Name, Port, Reference, Section


class ObjectSettings(Section):
    """A namespaced object."""

    namespace: Label
    name: Name


class WriteServiceSettings(Section):
    """A Service that follows the pointer; its document lies in traffic-state.yaml, beside the ConfigMap."""

    namespace: Label
    name: Name
    via: Literal["tcproute", "selector", "externalname"] = "tcproute"


class KeysSettings(Section):
    """The specification's key names, and what the user's ConfigMap calls them."""

    read: DataKey = Field(default="REDIS_READ_HOST", alias="REDIS_READ_HOST")
    write: DataKey = Field(default="REDIS_WRITE_HOST", alias="REDIS_WRITE_HOST")
    master: DataKey = Field(default="IS_WRITE_MASTER", alias="IS_WRITE_MASTER")
    maintenance: DataKey = Field(default="MAINTENANCE_MODE", alias="MAINTENANCE_MODE")

    @model_validator(mode="after")
    def _once(self) -> Self:
        twice = [name for name, count in Counter((self.read, self.write, self.master, self.maintenance)).items() if count > 1]
        if twice:
            raise ValueError(f"{', '.join(twice)} would mean more than one thing")
        return self


class PointerSettings(Section):
    """The write pointer."""

    configmap: ObjectSettings
    mode: Literal["configmap-watch", "service"] = "configmap-watch"
    write_service: WriteServiceSettings | None = None
    maintenance_mode: Literal["spec", "auto", "off"] = "auto"
    keys_: KeysSettings = Field(default=KeysSettings(), alias="keys")

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.mode == "service" and self.write_service is None:
            raise ValueError("mode service needs write_service")
        if self.mode != "service" and self.write_service is not None:
            raise ValueError("write_service needs mode: service")
        return self

    @property
    def keys(self) -> Keys:
        """The four names, as the documents take them."""
        return Keys(self.keys_.read, self.keys_.write, self.keys_.master, self.keys_.maintenance)


class ServiceSettings(Section):
    """A Service and its port."""

    namespace: Label
    name: Label
    port: Port


class AuthSettings(Section):
    """The password lies in Secret ``<namespace>/<name>`` under ``key``, in each cluster its own; ``username`` is an ACL user's.

    ``password`` says where Bennu reads it instead (``{colour}`` is filled in). Without ``secret``, which the redis-init-sync Job needs, Bennu itself makes the target follow.

    ``same_on_both`` false: the two clusters' passwords may differ, since whoever writes has a credential that is good at both. True is checked before replication.
    """

    secret: Reference | None = None
    key: Line = "redis-password"
    password: ColouredSecretRef | None = None
    username: Line | None = None
    same_on_both: Flag = True

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.secret is None and self.password is None:
            raise ValueError("says neither secret nor password: where does the password lie?")
        return self


class TlsSettings(Section):
    """The authority lies in Secret ``<namespace>/<name>`` under ``key``, in each cluster its own.

    ``server_name`` is what the certificate must name (default: the Service's DNS name, or ``direct.host``); ``client_secret`` holds ``tls.crt`` and ``tls.key`` for servers
    that ask for a client's certificate (``tls-auth-clients``).
    """

    ca_secret: Reference
    key: Line = "ca.crt"
    server_name: ColourTemplate | None = None
    client_secret: Reference | None = None


class DirectSettings(Section):
    """An address that does not depend on the colour's pods; ``{colour}`` is filled in. The watch for two masters looks at the pods beside it, by ``reach``."""

    host: ColourTemplate
    port: Port


class FenceSettings(Section):
    """How the fence outlives a restart."""

    persists_by: Literal["config-rewrite", "manifest"] = "config-rewrite"
    restart_tested: Flag = False


class RedisSettings(Section):
    """One Redis that is handed over."""

    name: Label
    service: ServiceSettings
    topology: Literal["primary-replicas", "sentinel", "cluster", "operator"] = "primary-replicas"
    reach: Literal["direct", "port-forward"] = "port-forward"
    direct: DirectSettings | None = None
    replicate_via: Literal["service", "endpoint"] = "service"
    sync_image: Line = "redis:7"
    auth: AuthSettings | None = None
    tls: TlsSettings | None = None
    persistence: Literal["required", "accept-volatile"] = "required"
    reads_during_canary: Literal["local", "write-host"] = "local"
    fence: FenceSettings = FenceSettings()
    reverse: Literal["required", "accept-none"] = "required"

    @model_validator(mode="after")
    def _mountable(self) -> Self:
        tls = (self.tls.ca_secret, self.tls.client_secret) if self.tls else ()
        for secret in (self.auth.secret if self.auth else None, *tls):
            if secret and secret.partition("/")[0] != self.service.namespace:
                raise ValueError(f"Secret {secret} must lie in the Service's namespace, {self.service.namespace}: the redis-init-sync Job uses it there")
        return self


class ElsewhereSettings(Section):
    """State that survives the cluster, moves with it, or may be lost. Patterns ``<namespace>/<name>``."""

    external: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    disposable: tuple[str, ...] = ()
