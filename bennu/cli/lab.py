"""``bennu lab …``: a world to rehearse in, on this machine's loopback."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bennu.cli.output import Format, OutputOption, shown

if TYPE_CHECKING:
    from bennu.lab.places import LabDir

app = typer.Typer(help="A world to rehearse in: real Git, Valkey and DNS on loopback, emulated clusters.", no_args_is_help=True, rich_markup_mode=None)

NameOption = Annotated[str, typer.Option("--name", help="Two labs can run side by side under two names.", envvar="BENNU_LAB")]
DirOption = Annotated[Path | None, typer.Option("--dir", help="Where it keeps everything (default: the state directory).", envvar="BENNU_LAB_DIR")]
WhatArgument = Annotated[str, typer.Argument(help="link, redis, flux, api, cluster, payment, git, dns or metrics; some take a colour: redis:blue.")]


def place(name: str, directory: Path | None) -> LabDir:
    """The lab's directory. Raises UsageError where the extra is not installed or the name is none."""
    from bennu.core.clusters import checked_label
    from bennu.errors import UsageError

    checked_label(name, "lab")
    try:
        from bennu.lab import world
        from bennu.lab.places import LabDir
    except ImportError as error:
        raise UsageError(f"the lab is an extra that is not installed ({error.name})", next_step="pip install 'bennu[lab]'") from None
    return LabDir((directory or world.default_directory(name)).absolute())


@app.command("up")
def up(
    name: NameOption = "default",
    directory: DirOption = None,
    active: Annotated[str, typer.Option("--active", help="The first cluster's colour.")] = "blue",
    provisioner: Annotated[str, typer.Option("--provisioner", help="command, or terraform where it is on PATH.")] = "command",
    external_redis: Annotated[bool, typer.Option("--external-redis", help="Keep the state in a Redis outside the clusters, and hand over none.")] = False,
    fence: Annotated[
        str, typer.Option("--fence", help="config-rewrite (Redis has a file on its volume), or manifest: started by arguments, as a chart does it.")
    ] = "config-rewrite",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until payments flow.")] = True,
    output: OutputOption = Format.TEXT,
) -> None:
    """Start a lab: one active cluster, a Git remote, DNS, Prometheus, and users who pay.

    Example:  bennu lab up && cd "$(bennu lab dir)" && bennu plan
    """
    from bennu.core.clusters import Colour
    from bennu.errors import UsageError

    lab = place(name, directory)
    from bennu.lab import world

    if provisioner not in ("command", "terraform"):
        raise UsageError(f"there is no provisioner {provisioner!r}", next_step="choose command or terraform")
    if fence not in ("config-rewrite", "manifest"):
        raise UsageError(f"a fence is not carried by {fence!r}", next_step="choose config-rewrite or manifest")
    if lab.exists:
        sys.stderr.write(f"bennu: the lab runs already in {lab.root}\n")
    else:
        wanted = world.Wanted(Colour.parse(active).value, provisioner == "terraform", wait, external_redis, fence)
        world.start(lab.root, name, wanted, _tell)
    found = world.status(lab)
    if output is not Format.TEXT:
        sys.stdout.write(shown(found, output))
        return
    sys.stdout.write(
        f"lab {name} runs, {len(found.processes)} processes, {found.memory_mb:.0f} MB\n"
        f"  repository: {lab.root}/fleet   (cd there, then: bennu plan, bennu rotate start)\n"
        f"  kubectl:    export KUBECONFIG={lab.root}/kubeconfig\n"
    )


@app.command("dir")
def directory_(name: NameOption = "default", directory: DirOption = None) -> None:
    """Print the lab's checkout, where bennu.yaml lies.

    Example:  cd "$(bennu lab dir)"
    """
    sys.stdout.write(f"{_existing(name, directory).root}/fleet\n")


@app.command("status")
def status(name: NameOption = "default", directory: DirOption = None, output: OutputOption = Format.TEXT) -> None:
    """What runs, with memory, faults in force and the users' statistics.

    Example:  bennu lab status -o json
    """
    lab = _existing(name, directory)
    from bennu.lab import world

    found = world.status(lab)
    if output is not Format.TEXT:
        sys.stdout.write(shown(found, output))
        return
    lines = [f"{p.name:<70} {p.pid:>8} {'alive' if p.alive else 'DEAD':<6} {p.memory_mb:7.1f} MB" for p in found.processes]
    lines += [
        f"in all {found.memory_mb:.0f} MB; clusters: {', '.join(found.clusters)}",
        f"broken: {_pairs(found.faults) or 'nothing'}",
        f"traffic: {_pairs(found.traffic)}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


@app.command("down")
def down(
    name: NameOption = "default",
    directory: DirOption = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the directory with its logs.")] = False,
) -> None:
    """End every process of the lab, and only those; remove its directory.

    Example:  bennu lab down
    """
    lab = _existing(name, directory)
    from bennu.lab import world

    sys.stdout.write(f"{world.stop(lab, keep=keep)} processes ended\n")


@app.command("break")
def break_(
    what: WhatArgument,
    how: Annotated[str, typer.Argument(help="How, where there is a choice: cut or stall a link, kill or stop a Redis, errors or slow payments.")] = "",
    name: NameOption = "default",
    directory: DirOption = None,
) -> None:
    """Break something, to see what Bennu does.

    Example:  bennu lab break link stall
    """
    lab = _existing(name, directory)
    from bennu.lab.faults import broken

    sys.stdout.write(f"broken: {', '.join(broken(lab, what, how))}\n")


@app.command("heal")
def heal(what: Annotated[str, typer.Argument(help="What was broken, or all.")] = "all", name: NameOption = "default", directory: DirOption = None) -> None:
    """Mend what was broken.

    Example:  bennu lab heal all
    """
    lab = _existing(name, directory)
    from bennu.lab.faults import healed

    sys.stdout.write(f"healed: {', '.join(healed(lab, what)) or 'nothing was broken'}\n")


@app.command("audit")
def audit(name: NameOption = "default", directory: DirOption = None, output: OutputOption = Format.TEXT) -> None:
    """Read every acknowledged write back from the write master, and see whether anything ran twice.

    Example:  bennu lab audit
    """
    lab = _existing(name, directory)
    from bennu.errors import OperatorNeeded
    from bennu.lab.audit import audited

    found = audited(lab, _master(lab))
    if output is Format.TEXT:
        twice = "; ".join(f"{ledger} in {a} and {b} for {seconds:.1f} s" for ledger, a, b, seconds in found.overlaps)
        sys.stdout.write(f"{found.acknowledged} writes acknowledged, {len(found.lost)} lost (read back from {found.master})\nran twice: {twice or 'nothing'}\n")
    else:
        sys.stdout.write(shown(found, output))
    if not found.clean:
        raise OperatorNeeded("the audit is not clean", next_step="the ledgers lie in the lab's directory")


@app.command("kubeconfig")
def kubeconfig(name: NameOption = "default", directory: DirOption = None) -> None:
    """Print the path of the lab's kubeconfig.

    Example:  export KUBECONFIG="$(bennu lab kubeconfig)"
    """
    sys.stdout.write(f"{_existing(name, directory).root}/kubeconfig\n")


@app.command("demo")
def demo(
    provisioner: Annotated[str, typer.Option("--provisioner", help="auto: terraform where terraform or tofu is on PATH, else command.")] = "auto",
    rotations: Annotated[int, typer.Option("--rotations", min=1, max=9, help="How many rotations, one after another.")] = 1,
    policy: Annotated[str, typer.Option("--policy", help="lab (scaled times) or spec (the real windows: hours).")] = "lab",
    output: OutputOption = Format.TEXT,
) -> None:
    """A whole rotation in a lab of its own, which is gone afterwards: the main job, to watch.

    Example:  bennu lab demo --rotations 3
    """
    place("demo", None)
    from bennu.cli.demo import run

    run(provisioner, rotations, policy, output)


def _master(lab: LabDir) -> str:
    """The write master by Git."""
    from bennu import wiring

    here = wiring.session(wiring.Options(repo=lab.root / "fleet"))
    here.standing()
    return here.active().value


def _existing(name: str, directory: Path | None) -> LabDir:
    from bennu.errors import UsageError

    lab = place(name, directory)
    if not lab.exists:
        raise UsageError(f"there is no lab in {lab.root}", next_step="'bennu lab up' starts one")
    return lab


def _tell(line: str) -> None:
    sys.stderr.write(f"  {line}\n")


def _pairs(found: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={value}" for key, value in found.items())
