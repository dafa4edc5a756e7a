"""stdout and stderr, written such that their reader may go: nothing here ever raises into whoever writes, and no exit code changes by it.

A terminal that was closed, a pipe without a reader, a full disk: what cannot be written is lost, and the run goes on. A rotation has everything in its journal. ``aside`` goes further for as
long as something is driven: then a thread writes, so that a reader who only stands still (^S, a pager, a connection that hangs) cannot hold the run up either.
"""

from __future__ import annotations

import errno
import io
import os
import sys

TYPE_CHECKING = False  # typing's own would cost `bennu --version` 3 ms
if TYPE_CHECKING:
    import threading
    from queue import SimpleQueue
    from typing import TextIO

    from _typeshed import ReadableBuffer

_PENDING = 10_000  # writes that may wait for a reader who stands still; what comes then is lost
_SHOW_CURSOR = b"\x1b[?25h\n"


class Guarded(io.RawIOBase):
    """A descriptor that takes everything. ``lost`` is the last error, None while all was written."""

    def __init__(self, descriptor: int, name: str) -> None:
        self.name, self.mode = name, "wb"
        self.lost: OSError | None = None
        self._descriptor, self._terminal = descriptor, os.isatty(descriptor)
        self._queue: SimpleQueue[bytes | threading.Event] | None = None

    def writable(self) -> bool:
        """Always, by what this is for."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether a terminal is behind it, and still there."""
        return os.isatty(self._descriptor)

    @property
    def gone(self) -> bool:
        """Whether nobody sees what is written: something was lost, or the terminal is none any more."""
        return self.lost is not None or (self._terminal and not self.isatty())

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of *data* or lose it. Returns its length."""
        whole = bytes(data)
        if self._queue is None:
            self._put(whole)
        elif self._queue.qsize() < _PENDING:
            self._queue.put(whole)
        return len(whole)

    def aside(self) -> None:
        """Have a thread write from now on."""
        if self._queue is None:
            import queue
            import threading

            self._queue = queue.SimpleQueue()
            threading.Thread(target=self._writing, args=(self._queue,), name=f"bennu-{self.name}", daemon=True).start()

    def settle(self, seconds: float | None = None) -> None:
        """Wait until everything is written (at the most *seconds*), and write directly again."""
        if self._queue is not None:
            import threading

            done = threading.Event()
            self._queue.put(done)
            done.wait(seconds)
            self._queue = None

    def _writing(self, queue: SimpleQueue[bytes | threading.Event]) -> None:
        while isinstance(item := queue.get(), bytes):
            self._put(item)
        item.set()

    def _put(self, data: bytes) -> None:
        try:
            while data:
                try:
                    data = data[os.write(self._descriptor, data) :]
                except BlockingIOError:
                    # Somebody who has the same descriptor made it non-blocking; its reader is only slow.
                    import select

                    select.select((), (self._descriptor,), ())
        except OSError as error:
            self.lost = error


def guard() -> None:
    """Put both streams behind a guard, and something harmless where a descriptor was closed: the next file that is opened would get its number, and everything said would go there."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free number, which is this one
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115  # a descriptor; open as long as the process is
    sys.stdout, sys.stderr = _behind(1, sys.stdout), _behind(2, sys.stderr)


def _behind(descriptor: int, before: TextIO | None) -> TextIO:
    raw = Guarded(descriptor, "<stdout>" if descriptor == 1 else "<stderr>")
    encoding, errors = (before.encoding, before.errors) if before is not None else ("utf-8", None)
    # What an encoding lacks is written as an escape: "strict" would raise, too.
    errors = errors if errors not in (None, "strict") else "backslashreplace"
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors=errors, line_buffering=descriptor == 2 or raw.isatty())


def guarded(stream: TextIO) -> Guarded | None:
    """What is below *stream*; None where it was never put behind a guard (Bennu as a library, tests)."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, Guarded) else None


def aside() -> None:
    """From now on nobody waits for a reader."""
    for stream in (sys.stdout, sys.stderr):
        if (raw := guarded(stream)) is not None:
            raw.aside()


def unread(stream: TextIO) -> bool:
    """Whether the reader of *stream* is gone."""
    raw = guarded(stream)
    return raw is not None and raw.gone


def settle() -> None:
    """Wait until everything that was said is written, or lost; from here on a reader is waited for again."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        if (raw := guarded(stream)) is not None:
            raw.settle()


def end() -> None:
    """Settle for the last time; data that a full disk lost is worth a word."""
    settle()
    raw = guarded(sys.stdout)
    if raw is not None and raw.lost is not None and raw.lost.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        sys.stderr.write(f"bennu: not all of stdout could be written: {raw.lost.strerror}\n")


def farewell() -> None:
    """From a signal handler, right before the end: a terminal whose cursor was hidden gets it back, if that takes no time."""
    raw = guarded(sys.stderr)
    if raw is not None and raw.isatty():
        raw.aside()
        raw.write(_SHOW_CURSOR)
        raw.settle(0.1)
