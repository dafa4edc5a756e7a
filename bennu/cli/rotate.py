"""``bennu rotate …``: start, promote, drain, rollback, abort, pause, resume, status, cleanup."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from bennu.cli.common import (
    ConfigOption,
    ForceOption,
    GroupOption,
    NoInputOption,
    PolicyOption,
    RepoOption,
    TakeOverOption,
    TimeoutOption,
    ToOption,
    YesOption,
    confirmed,
    over,
    say,
    session,
)
from bennu.cli.output import Format, OutputOption

if TYPE_CHECKING:
    from bennu.wiring import Over, Session

app = typer.Typer(help="Rotate a group from one cluster to the next.", no_args_is_help=True, rich_markup_mode=None)

AcceptLossOption = Annotated[
    bool, typer.Option("--accept-loss", help="Give up, by this word, what the side that goes holds alone. Nothing is given up without it.")
]
DrOption = Annotated[bool, typer.Option("--dr", help="Disaster: the source is dead. Go on without it (docs/disaster.md); refused while its Redis answers.")]
GoneOption = Annotated[str, typer.Option("--gone", metavar="CLUSTER", help="Say, by its name, that nothing can write to this cluster any more.")]
StopAfterOption = Annotated[str, typer.Option("--stop-after", metavar="STATE", help="End, resumable, when this state's steps are done (exit 10).")]


@app.command("start")
def start(
    repo: RepoOption = None,
    config: ConfigOption = None,
    group: GroupOption = "",
    to: ToOption = "",
    policy: PolicyOption = "",
    ticket: Annotated[str, typer.Option("--ticket", help="The change's number; goes into trailers, journal and report.")] = "",
    auto_promote: Annotated[bool, typer.Option("--auto-promote", help="Hand the write authority over without waiting for a human.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="End after the canary (exit 10), traffic back at the source; 'promote' goes on later.")] = False,
    adopt: Annotated[bool, typer.Option("--adopt", help="Take a target that exists already as it is.")] = False,
    keep_source: Annotated[bool, typer.Option("--keep-source", help="Keep the old cluster; 'rotate cleanup' takes it down later.")] = False,
    accept_one_way: Annotated[bool, typer.Option("--accept-one-way", help="Go on although a rollback after the promotion may lose writes.")] = False,
    snapshot: Annotated[
        bool, typer.Option("--snapshot", help="Have the source's Redis write a snapshot (BGSAVE) before the hand-over; its name is kept.")
    ] = False,
    dr: DrOption = False,
    accept_loss: AcceptLossOption = False,
    gone: GoneOption = "",
    stop_after: StopAfterOption = "",
    yes: YesOption = False,
    no_input: NoInputOption = False,
    timeout: TimeoutOption = 0,
    output: OutputOption = Format.TEXT,
) -> None:
    """Rotate a group to a fresh cluster: provision, bootstrap, link, sync, shift the traffic, hand over, move DNS, take the old one down.

    Example:  bennu rotate start --group prod/us-east-1 --to green --ticket CHG1234567
    """
    from bennu import wiring
    from bennu.cli.driving import driven

    here = session(repo, config, group, policy=policy, no_input=no_input)
    _only_with_dr(dr, accept_loss=accept_loss, gone=gone)
    with wiring.alone(here):
        pass  # another terminal drives: said at once, before any network is asked
    if dr:
        wished = wiring.wishes(stop_after=stop_after, timeout_s=timeout, accept_loss=accept_loss, dr=True, gone=gone)
        lost = here.warm_beside(to, ticket=ticket)
        confirmed(_disaster(here.judge_disaster(lost, {}, wished), lost), yes=yes, no_input=no_input)
        driven(here, partial(wiring.started, here, lost, wished), output)
        return
    accepted = tuple(name for name, on in (("adopt", adopt), ("accept-one-way", accept_one_way), ("keep-source", keep_source), ("snapshot", snapshot)) if on)
    rotation = here.proposed(to, accepted, ticket=ticket, only_fresh=True)
    wishes = wiring.wishes(auto_promote=auto_promote, no_wait=no_wait, stop_after=stop_after, timeout_s=timeout)
    here.refuse_words(wishes, rotation.started_by)
    here.preflight(rotation)
    if sys.stdin.isatty() and not no_input:
        confirmed(f"Rotate {rotation.group} from {rotation.source} to {rotation.target} ({here.policy.name} policy)?", yes=yes, no_input=no_input)
    driven(here, partial(wiring.started, here, rotation, wishes), output)


@app.command("resume")
def resume(
    repo: RepoOption = None,
    config: ConfigOption = None,
    group: GroupOption = "",
    policy: PolicyOption = "",
    take_over: TakeOverOption = "",
    force: ForceOption = False,
    auto_promote: Annotated[bool, typer.Option("--auto-promote", help="Hand over without waiting for a human.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="End after the canary (exit 10).")] = False,
    stop_after: StopAfterOption = "",
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Give up the writes that an earlier run found on one side alone and kept in files (exit 7), and go on.")
    ] = False,
    no_input: NoInputOption = False,
    timeout: TimeoutOption = 0,
    output: OutputOption = Format.TEXT,
) -> None:
    """Go on with an open rotation from wherever it stopped, on this laptop or on another.

    Example:  bennu rotate resume --group prod/us-east-1
    """
    from bennu import wiring
    from bennu.cli.driving import driven

    here = session(repo, config, group, policy=policy, no_input=no_input)
    wishes = wiring.wishes(auto_promote=auto_promote, no_wait=no_wait, stop_after=stop_after, timeout_s=timeout, accept_loss=accept_loss)
    _found(here)
    driven(here, partial(wiring.resumed, here, wishes, over=over(take_over, force=force)), output)


@app.command("promote")
def promote(
    repo: RepoOption = None,
    config: ConfigOption = None,
    group: GroupOption = "",
    policy: PolicyOption = "",
    dr: DrOption = False,
    accept_loss: AcceptLossOption = False,
    gone: GoneOption = "",
    take_over: TakeOverOption = "",
    force: ForceOption = False,
    yes: YesOption = False,
    no_input: NoInputOption = False,
    timeout: TimeoutOption = 0,
    output: OutputOption = Format.TEXT,
) -> None:
    """Say yes to the hand-over: to the holder that waits for it, or, where none lives, by going on here. With --dr: without the source, which is dead.

    Example:  bennu rotate promote --group prod/us-east-1
    """
    from bennu import wiring
    from bennu.cli.driving import driven

    here = session(repo, config, group, policy=policy, no_input=no_input)
    _only_with_dr(dr, accept_loss=accept_loss, gone=gone)
    taking = over(take_over, force=force)
    if not dr:
        _ask_or_drive("promote", here, timeout, output, taking)
        return
    standing = here.standing()
    here.refuse_disaster(standing, take_over=take_over)
    wished = wiring.wishes(timeout_s=timeout, accept_loss=accept_loss, dr=True, gone=gone)
    rotation = here.rotation(standing)
    confirmed(_disaster(here.judge_disaster(rotation, standing.facts, wished, standing.state), rotation), yes=yes, no_input=no_input)
    driven(here, partial(wiring.resumed, here, wished, over=taking), output)


@app.command("drain")
def drain(
    repo: RepoOption = None,
    config: ConfigOption = None,
    group: GroupOption = "",
    policy: PolicyOption = "",
    take_over: TakeOverOption = "",
    force: ForceOption = False,
    no_input: NoInputOption = False,
    timeout: TimeoutOption = 0,
    output: OutputOption = Format.TEXT,
) -> None:
    """Say yes to the old cluster's end, where repository.require.second_person asks for it: to the holder that waits, or, where none lives, by going on here.

    Example:  bennu rotate drain --group prod/us-east-1
    """
    taking = over(take_over, force=force)
    _ask_or_drive("drain", session(repo, config, group, policy=policy, no_input=no_input), timeout, output, taking)


@app.command("rollback")
def rollback(
    repo: RepoOption = None,
    config: ConfigOption = None,
    group: GroupOption = "",
    policy: PolicyOption = "",
    accept_loss: AcceptLossOption = False,
    take_over: TakeOverOption = "",
    force: ForceOption = False,
    yes: YesOption = False,
    no_input: NoInputOption = False,
    timeout: TimeoutOption = 0,
    output: OutputOption = Format.TEXT,
) -> None:
    """Go back to the source: from S1–S5 at once, from S7 by a reverse switchover; refused from S8.

    Past a broken reverse link, --accept-loss gives the present master's own writes up; they are kept in files.

    Example:  bennu rotate rollback --group prod/us-east-1 --yes
    """
    here = session(repo, config, group, policy=policy, no_input=no_input)
    taking = over(take_over, force=force)
    standing = here.standing()
    here.refuse_rollback(standing)
    confirmed(f"Roll {standing.rotation} back to {standing.source} and destroy {standing.target}?", yes=yes, no_input=no_input)
    _ask_or_drive("rollback", here, timeout, output, taking, accept_loss=accept_loss)


@app.command("abort")
def abort(
    repo: RepoOption = None,
    config: ConfigOption = None,
    group: GroupOption = "",
    policy: PolicyOption = "",
    take_over: TakeOverOption = "",
    force: ForceOption = False,
    no_input: NoInputOption = False,
    timeout: TimeoutOption = 0,
    output: OutputOption = Format.TEXT,
) -> None:
    """Have the holder stop at the next safe point, with all traffic back at the source. With --take-over: in a dead holder's stead, from here.

    Example:  bennu rotate abort --group prod/us-east-1
    """
    _ask_or_drive("abort", session(repo, config, group, policy=policy, no_input=no_input), timeout, output, over(take_over, force=force))


@app.command("pause")
def pause(repo: RepoOption = None, config: ConfigOption = None, group: GroupOption = "", no_input: NoInputOption = False, timeout: TimeoutOption = 0) -> None:
    """Have the holder stop at the next safe point; 'resume' goes on.

    Example:  bennu rotate pause --group prod/us-east-1
    """
    _ask_or_drive("pause", session(repo, config, group, no_input=no_input), timeout, Format.TEXT, over("", force=False))


@app.command("status")
def status(
    repo: RepoOption = None,
    config: ConfigOption = None,
    group: GroupOption = "",
    why: Annotated[bool, typer.Option("--why", help="Explain the verdict: the resume table's row, the gates, and the records behind it.")] = False,
    output: OutputOption = Format.TEXT,
) -> None:
    """Where the rotation stands, who holds it, and what a resume would do.

    Example:  bennu rotate status --why
    """
    from bennu.cli.status import one_look

    one_look(session(repo, config, group), output, why=why)


@app.command("cleanup")
def cleanup(
    repo: RepoOption = None,
    config: ConfigOption = None,
    group: GroupOption = "",
    colour: Annotated[str, typer.Option("--colour", help="Which cluster to take down; never the write master.")] = "",
    gone: GoneOption = "",
    policy: PolicyOption = "",
    yes: YesOption = False,
    no_input: NoInputOption = False,
    timeout: TimeoutOption = 0,
    output: OutputOption = Format.TEXT,
) -> None:
    """Take down what a kept or failed rotation left: DRAINING's work for a named colour, under DRAINING's refusals.

    Example:  bennu rotate cleanup --colour blue --yes
    """
    from bennu import wiring
    from bennu.cli.driving import driven

    here = session(repo, config, group, policy=policy, no_input=no_input)
    rotation = here.cleanup_of(colour, gone=gone)
    confirmed(f"Destroy {rotation.source.cluster} of {rotation.group}?", yes=yes, no_input=no_input)
    driven(here, partial(wiring.cleaning, here, rotation, wiring.wishes(timeout_s=timeout)), output)


def _found(here: object) -> None:
    """Before anything is done: where it stands, and what the resume is about to do. Talk, so on stderr; what cannot be read is for the run to stumble over."""
    from bennu.core.status import summary
    from bennu.errors import BennuError

    with suppress(BennuError):
        found = here.brief()  # type: ignore[attr-defined]  # wiring is imported late
        if found.outlook is not None:
            sys.stderr.write("".join(f"bennu: {line}\n" for line in summary(found)))


def _only_with_dr(dr: bool, *, accept_loss: bool, gone: str) -> None:
    from bennu.errors import UsageError

    if not dr and (accept_loss or gone):
        raise UsageError("--accept-loss and --gone say what a disaster costs: they go with --dr", next_step="add --dr, or leave them out")


def _disaster(lines: tuple[str, ...], rotation: object) -> str:
    """What is known, and the question."""
    for line in lines:
        say(line)
    return f"Go on without {rotation.source.cluster}, and make {rotation.target.cluster} the write master?"  # type: ignore[attr-defined]  # wiring is imported late


def _ask_or_drive(verb: str, here: Session, timeout: float, output: Format, taking: Over, *, accept_loss: bool = False) -> None:
    """Leave a request to the living holder and wait for its answer; where none lives, or its lock is taken over, take the lock and drive."""
    from bennu import wiring
    from bennu.cli.driving import aborting, back, driven, forward
    from bennu.errors import GateRefused, Interrupted

    standing = here.standing()
    here.refuse_request(verb, standing)
    if not taking.id and here.holder_lives(standing):
        say(f"{verb} asked of {standing.lock.holder if standing.lock else 'the holder'}; waiting for the answer …")
        try:
            reply = here.request(verb, timeout, {"accept-loss": "true"} if accept_loss else {})
        except KeyboardInterrupt:
            stands = f"the request '{verb}' stands: the holder may still take it up"
            raise Interrupted(signal.SIGINT, "stopped waiting for the answer", changed=stands, next_step="bennu rotate status") from None
        if not reply.accepted:
            raise GateRefused(f"{verb} was not accepted: {reply.text}", next_step="bennu rotate status")
        sys.stdout.write(f"{reply.text}\n")
        return
    if verb == "pause" or (verb == "abort" and not taking.id):
        raise GateRefused(f"nobody drives {standing.rotation}: there is nothing to {verb}", next_step="'bennu rotate resume' or 'bennu rotate rollback'")
    wishes = wiring.wishes(promote=verb == "promote", drain=verb == "drain", timeout_s=timeout, accept_loss=accept_loss)
    driven(here, partial(wiring.resumed, here, wishes, over=taking), output, way={"rollback": back, "abort": aborting}.get(verb, forward))
