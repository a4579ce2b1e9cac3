"""SIGTERM and a closed terminal end a command as Ctrl-C does, each with its own exit status."""

import os
import pty
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from helpers.paths import ROOT

from datasets import stopping
from datasets.errors import disk_trouble

COMMAND = textwrap.dedent("""
    import signal, sys, time
    sys.path.insert(0, sys.argv[1])
    from experiments.common import cli

    def main():
        try:
            print("ready", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            print("saving", flush=True)
            time.sleep(0.5)
            print("saved", flush=True)
            return cli.INTERRUPTED

    cli.run(main)
""")


def start(**options):
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(ROOT)], stdout=subprocess.PIPE, text=True, **options
    )


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_each_way_to_be_stopped_is_in_good_order_and_has_its_own_status(number, code):
    process = start()
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.stdout.readline() == "saving\n"
    if number != signal.SIGINT:
        process.send_signal(number)  # schedulers repeat it: saving is not cut short
    assert process.communicate()[0] == "saved\n"
    assert process.returncode == code


def test_a_command_in_the_background_of_a_shell_is_stopped_too():
    """Shells start `command &` with Ctrl-C switched off."""
    process = start(preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[0] == "saving\nsaved\n" and process.returncode == 143


def test_nohup_goes_on_when_the_terminal_is_closed():
    process = start(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 143


def test_a_closed_terminal_leaves_no_traceback_of_prints_that_go_nowhere(tmp_path):
    """The prints of the way out raise errors on a terminal that is gone."""
    master, slave = pty.openpty()
    done = tmp_path / "done"
    command = f"{COMMAND.rstrip().removesuffix('cli.run(main)')}\ntry:\n    cli.run(main)\nfinally:\n"
    command += f"    import pathlib; pathlib.Path({str(done)!r}).write_text(str(sys.exc_info()[1]))\n"
    process = subprocess.Popen(
        [sys.executable, "-c", command, str(ROOT)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # it becomes the controlling terminal
    )
    os.close(slave)
    assert b"ready" in os.read(master, 100)
    os.close(master)
    assert process.wait(30) == 129
    assert done.read_text() == "129"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(28, "No space left on device", "/data/x"), "/data/x cannot be written: the disk is full; "),
        (RuntimeError("(sqlite3.OperationalError) database or disk is full"), "the disk is full; "),
        (PermissionError(13, "Permission denied", "/x"), "/x cannot be written: this user may not write"),
        (OSError(30, "Read-only file system"), "the disk is read-only; "),
        (ValueError("no space is named that"), ""),
    ],
)
def test_a_disk_that_cannot_be_written_is_a_sentence(error, sentence):
    assert disk_trouble(error).startswith(sentence) and bool(disk_trouble(error)) == bool(sentence)
    try:
        raise KeyError("wrapped") from error
    except KeyError as outer:
        assert disk_trouble(outer) == disk_trouble(error)


def test_a_request_to_stop_is_acknowledged_at_once_though_its_handler_waits():
    """The handler belongs to another, as to Ray Tune, and acts later; one sentence is enough."""
    heard = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        count = []
        with stopping.acknowledged(lambda: (count.append(1), heard.set())):
            assert not heard.wait(0.05)
            os.kill(os.getpid(), signal.SIGINT)
            assert heard.wait(30)
            os.kill(os.getpid(), signal.SIGINT)
        assert count == [1] and signal.set_wakeup_fd(-1) == -1
    finally:
        signal.signal(signal.SIGINT, before)
