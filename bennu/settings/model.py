"""The schema of ``bennu.yaml``: names as users write them, durations in seconds, shares as fractions. Unknown keys are refused."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from bennu.core.clusters import Colour, Group
from bennu.errors import UsageError
from bennu.settings.fields import Section
from bennu.settings.numbers import PolicyOverrides
from bennu.settings.platform import ClusterSettings, FluxSettings, KubernetesSettings, MeshSettings, ProvisionerSettings, TargetSettings, VaultSettings
from bennu.settings.repository import NotifySettings, RepositorySettings
from bennu.settings.state import ElsewhereSettings, PointerSettings, RedisSettings
from bennu.settings.traffic import (
    AppSettings,
    CanarySettings,
    DnsSettings,
    DrainSettings,
    MetricsSettings,
    SwitchoverSettings,
    WorkloadSettings,
)


class GroupSettings(Section):
    """One group."""

    clusters: Annotated[dict[Literal["red", "blue", "green"], ClusterSettings], Field(min_length=1)]
    kubernetes: KubernetesSettings = KubernetesSettings()
    target: TargetSettings = TargetSettings()
    provisioner: ProvisionerSettings
    vault: VaultSettings | None = None
    flux: FluxSettings = FluxSettings()
    mesh: MeshSettings = MeshSettings()
    pointer: PointerSettings
    redis: tuple[RedisSettings, ...] = ()
    elsewhere: ElsewhereSettings = ElsewhereSettings()
    apps: tuple[AppSettings, ...] = ()
    active_only: tuple[WorkloadSettings, ...] = ()
    both: tuple[WorkloadSettings, ...] = ()
    metrics: MetricsSettings
    canary: CanarySettings = CanarySettings()
    switchover: SwitchoverSettings = SwitchoverSettings()
    dns: DnsSettings | None = None
    drain: DrainSettings = DrainSettings()

    @property
    def policy_numbers(self) -> dict[str, float]:
        """The policy's numbers that the group's own sections set, in the policy's units."""
        found: dict[str, float | None] = {
            "reconcile_timeout_s": self.flux.max_reconcile,
            "pause_budget_ms": self.switchover.pause_budget * 1000 if self.switchover and self.switchover.pause_budget else None,
            "stop_timeout_s": max((workload.stop_within for workload in self.active_only), default=None),
        }
        return {name: value for name, value in found.items() if value}

    @field_validator("apps", "redis")
    @classmethod
    def _names_once(cls, found: tuple[Any, ...]) -> tuple[Any, ...]:
        _once(one.name for one in found)
        return found

    @model_validator(mode="after")
    def _vault_is_known(self) -> Self:
        if self.vault is None and any(one.auth and (one.auth.password or "").startswith("vault:") for one in self.redis):
            raise ValueError("redis[].auth.password lies in Vault: say vault.address")
        return self

    @field_validator("redis")
    @classmethod
    def _something_to_lead_to(cls, redis: tuple[RedisSettings, ...], info: Any) -> tuple[RedisSettings, ...]:
        if not redis and "pointer" in info.data and info.data["pointer"].write_service is not None:
            raise ValueError("pointer.write_service has no Redis in the clusters to lead to")
        return redis

    @field_validator("apps")
    @classmethod
    def _a_service_to_follow(cls, apps: tuple[AppSettings, ...], info: Any) -> tuple[AppSettings, ...]:
        lacking = [app.name for app in apps if app.reads_pointer == "service"]
        if lacking and "pointer" in info.data and info.data["pointer"].write_service is None:
            raise ValueError(f"{', '.join(lacking)} cannot read the pointer by service without pointer.write_service")
        return apps

    @field_validator("both")
    @classmethod
    def _one_or_the_other(cls, both: tuple[WorkloadSettings, ...], info: Any) -> tuple[WorkloadSettings, ...]:
        alone = {(w.kind, w.namespace, w.name) for w in info.data.get("active_only", ())}
        for one in both:
            if (one.kind, one.namespace, one.name) in alone:
                raise ValueError(f"{one.kind} {one.namespace}/{one.name} is declared active_only, too")
        return both


def _group_name(text: str) -> str:
    try:
        return str(Group.parse(text))
    except UsageError as error:
        raise ValueError(error.message) from None


def _not_true(value: Any) -> Any:
    # To Python true is 1.
    if isinstance(value, bool):
        raise ValueError("1 was expected")
    return value


GroupName = Annotated[str, AfterValidator(_group_name)]


def _once(names: Iterable[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"{', '.join(twice)} is there more than once")


class Settings(Section):
    """The file."""

    version: Annotated[Literal[1], BeforeValidator(_not_true)]
    policy: Literal["spec", "lab"] = "spec"
    policy_overrides: PolicyOverrides = Field(default={})
    repository: RepositorySettings
    notify: tuple[NotifySettings, ...] = ()
    groups: dict[GroupName, GroupSettings] = Field(min_length=1)

    @model_validator(mode="after")
    def _directories(self) -> Self:
        layout = self.repository.layout.clusters
        where = [
            layout.format(env=group.env, region=group.region, colour=colour)
            for group in map(Group.parse, self.groups)
            for colour in self.groups[str(group)].clusters
        ]
        try:
            _once(where)
        except ValueError as error:
            raise ValueError(f"repository.layout.clusters gives two clusters one directory: {error}") from None
        return self

    def group(self, group: Group) -> GroupSettings:
        """A group's settings. Raises UsageError naming the groups there are."""
        found = self.groups.get(str(group))
        if found is None:
            close = difflib.get_close_matches(str(group), self.groups, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UsageError(f"there is no group {group} in bennu.yaml", next_step=f"{hint}groups: {', '.join(self.groups)}")
        return found

    def colours(self, group: Group) -> tuple[Colour, ...]:
        """The colours that the group has."""
        return tuple(colour for colour in Colour if colour.value in self.group(group).clusters)
