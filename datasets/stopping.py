"""Requests to stop from outside: SIGTERM and SIGHUP stop a command cleanly, as Ctrl-C does.

SIGTERM comes from schedulers, containers and systemd, SIGHUP from a terminal that was closed. A command that
ignores SIGHUP (started with nohup) goes on.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_received: list[int] = []


def stop_as_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP interrupt this process like Ctrl-C from now on; main thread only."""
    _received.clear()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)


def interrupt() -> None:
    """Interrupt this process like Ctrl-C, also if it was started with Ctrl-C switched off (`command &`)."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.default_int_handler)
        elif signal.getsignal(signal.SIGTERM) is _on_signal:
            os.kill(os.getpid(), signal.SIGTERM)  # its handler runs in the main thread, and comes back here
            return
    os.kill(os.getpid(), signal.SIGINT)


def exit_code() -> int:
    """Return the exit status of a command that was stopped: 128 and the number of the signal."""
    return 128 + (_received[0] if _received else signal.SIGINT)


@contextmanager
def kept_for_children() -> Iterator[None]:
    """Ignore SIGHUP in processes that are started within the block, and keep this process's own handlers.

    A closed terminal sends SIGHUP to all of them: those that a command needs for stopping cleanly must
    outlive it. (Ray also replaces the handler of SIGTERM by one that ends this process at once.)
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def acknowledged(say: Callable[[], None]) -> Iterator[None]:
    """Call `say` from another thread at the first request to stop within the block, whoever handles it.

    What handles it (Ray Tune, for one) may take seconds before it acts. Does nothing outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)  # Python writes each signal's number

    def watch() -> None:
        told = False
        while number := os.read(reading, 1)[0]:
            if not told and number in (signal.SIGINT, *SIGNALS):
                told = True
                with suppress(OSError):  # the terminal is gone
                    say()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.write(writing, b"\0")  # ends the watcher
        watcher.join()
        os.close(reading)
        os.close(writing)


def note(number: int) -> None:
    """Remember a signal for `exit_code`; if the terminal is gone, send what is printed nowhere."""
    _received.append(number)
    for stream in (1, 2):
        try:
            os.write(stream, b"")
        except OSError:  # the terminal is gone: each print would raise an error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream)
            os.close(nowhere)


def _on_signal(number: int, frame: FrameType | None) -> None:
    first = not _received
    note(number)
    if first:  # a second one while the command stops would cut that short
        interrupt()
