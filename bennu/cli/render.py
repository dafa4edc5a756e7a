"""The running commentary of a rotation, on stderr: permanent lines for what is done, one moving line for what is awaited."""

from __future__ import annotations

import sys
from contextlib import suppress
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from bennu.engine.progress import Mark, Progress

_SAY_AGAIN_S = 30.0  # without a terminal a long wait says so this often, so that a log doesn't look dead
_LOST = suppress(Exception, SystemExit)  # the latter is Rich's answer to a broken pipe


class Commentary(Protocol):
    """Takes progress as it comes."""

    def show(self, progress: Progress) -> None:
        """One happening."""

    def __enter__(self) -> Commentary: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


def line(progress: Progress) -> Text | None:
    """A permanent line, or None for what only moves."""
    mark, text = progress.mark, progress.text
    if mark is Mark.STATE:
        return Text(f"S{progress.state.number} {progress.state}", style="bold")
    if mark in (Mark.DONE, Mark.SKIP):
        out = Text("  ✓ " if mark is Mark.DONE else "  = ", style="green" if mark is Mark.DONE else "dim")
        out.append(f"{progress.title:<52}", style="default")
        out.append(f" {progress.elapsed_s:6.1f} s  ", style="dim")
        out.append(text if mark is Mark.DONE else f"already so: {text}", style="dim")
        if progress.commit:
            out.append(f"  [{progress.commit[:8]}]", style="cyan")
        return out
    if mark is Mark.TALK:
        return Text(f"      {text}", style="dim")
    if mark is Mark.WARN:
        return Text(f"  ! {text}", style="yellow")
    if mark is Mark.END:
        return Text(text, style="bold green")
    return None


def moving(progress: Progress) -> str:
    """What is awaited, for how long, until when."""
    if progress.mark is Mark.BEGIN:
        return f"{progress.title} …"
    if progress.mark is Mark.PAUSED:
        return f"{progress.text} ({progress.elapsed_s:.0f} s)"
    limit = f" of at most {progress.deadline_s:.0f} s" if progress.deadline_s else ""
    return f"{progress.title}: {progress.text} ({progress.elapsed_s:.0f} s{limit})"


class TerminalCommentary:
    """For a person at a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # Not redirected: Rich would take stdout's data for something to draw here.
        self._live = Live(console=console, refresh_per_second=8, transient=True, redirect_stdout=False, redirect_stderr=False)

    def __enter__(self) -> TerminalCommentary:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.update(Text(""))
        self._live.stop()

    def show(self, progress: Progress) -> None:
        """A permanent line above, or a new moving line."""
        permanent = line(progress)
        if permanent is not None:
            self._console.print(permanent, overflow="fold", highlight=False)
        else:
            self._live.update(Spinner("dots", Text(f" {moving(progress)}", style="blue")))


class PlainCommentary:
    """For a log: one line a step; a wait speaks up only now and then."""

    def __init__(self) -> None:
        self._said = 0.0

    def __enter__(self) -> PlainCommentary:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def show(self, progress: Progress) -> None:
        """One line, or nothing."""
        permanent = line(progress)
        if permanent is not None:
            self._said = 0.0
            self._print(permanent.plain)
        elif progress.elapsed_s - self._said >= _SAY_AGAIN_S or (progress.mark is Mark.PAUSED and self._said == 0.0):
            self._said = max(progress.elapsed_s, 0.001)
            self._print(f"  … {moving(progress)}")

    def _print(self, text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


class Unfailing:
    """A commentary that never raises. Steps talk in the middle of what they do, in the critical section, too: a line that cannot be shown is lost, and the journal has everything."""

    def __init__(self, inner: Commentary) -> None:
        self._inner = inner

    def __enter__(self) -> Unfailing:
        with _LOST:
            self._inner.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with _LOST:
            self._inner.__exit__(kind, error, trace)

    def show(self, progress: Progress) -> None:
        """One happening, shown or lost."""
        with _LOST:
            self._inner.show(progress)


def commentary() -> Commentary:
    """The right one for this stderr."""
    console = Console(stderr=True)
    return Unfailing(TerminalCommentary(console) if console.is_terminal else PlainCommentary())
