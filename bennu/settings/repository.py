"""``repository`` and ``notify``: where the fleet's manifests lie, and how commits get there."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import field_validator, model_validator

from bennu.settings.fields import Branch, Line, RefPrefix, Remote, RepoPath, Seconds, SecretRef, Section, fields_of


class CredentialsSettings(Section):
    """For a remote over HTTPS; the user's own credential helpers are used where this is absent."""

    username: Line
    password: SecretRef


class LayoutSettings(Section):
    """Where clusters and catalogs lie."""

    clusters: RepoPath = "clusters/{env}/{region}/cluster-{colour}"
    catalogs: RepoPath = "catalogs"

    @field_validator("clusters")
    @classmethod
    def _whole(cls, text: str) -> str:
        if "colour" not in fields_of(text) or fields_of(text) - {"env", "region", "colour"}:
            raise ValueError("must contain {colour}, and no other field than {env}, {region}, {colour}")
        return text


class DeliverySettings(Section):
    """How commits reach the branch."""

    mode: Literal["push", "pull-request"] = "push"
    per: Literal["phase", "step"] = "phase"
    reviewers: tuple[Line, ...] = ()
    checks_timeout: Seconds | None = None


class SigningSettings(Section):
    """``user``: sign where the user's Git does. ``notes``: whether the journal's commits are signed; auto: as the others, but not where the key asks for a touch each time."""

    mode: Literal["user", "off"] = "user"
    presence: Literal["none", "touch"] = "none"
    notes: Literal["auto", "always", "never"] = "auto"


class RequireSettings(Section):
    """Change control. ``ticket`` is a regular expression that the whole of ``--ticket`` must match; ``second_person``: what whoever started a rotation may not say in it."""

    ticket: str | None = None
    second_person: tuple[Literal["promote", "drain"], ...] = ()

    @field_validator("ticket")
    @classmethod
    def _pattern(cls, text: str | None) -> str | None:
        try:
            re.compile(text or "")
        except re.error as error:
            raise ValueError(f"{text!r} is not a regular expression ({error})") from None
        return text


class RepositorySettings(Section):
    """The GitOps repository. ``journal_ref``: below it lie the groups' journals, below the same with ``-requests`` what is asked of whoever drives."""

    remote: Remote
    branch: Branch = "main"
    journal_ref: RefPrefix = "refs/notes/bennu"
    layout: LayoutSettings = LayoutSettings()
    delivery: DeliverySettings = DeliverySettings()
    signing: SigningSettings = SigningSettings()
    require: RequireSettings = RequireSettings()
    credentials: CredentialsSettings | None = None

    @model_validator(mode="after")
    def _apart(self) -> Self:
        branch = f"refs/heads/{self.branch}/"
        for place in (f"{self.journal_ref}/", f"{self.journal_ref}-requests/"):
            if place.startswith(branch) or branch.startswith(place):
                raise ValueError(f"journal_ref {self.journal_ref} and branch {self.branch} cannot both be: in Git a ref is no folder of others")
        return self


class NotifySettings(Section):
    """Whom to tell."""

    slack: SecretRef | None = None
    command: tuple[str, ...] | None = None
    on: tuple[Literal["paused", "failed", "state"], ...] = ()
