"""Jobs for a real worker: each calls the test on a loopback port and says in which process it is; its end hangs up."""

import os
import signal
import socket
from contextlib import suppress

from django_q.exceptions import TimeoutException


def report(port: int) -> None:
    _call(port).close()


def stay(port: int) -> None:
    """At work until the test lets go."""
    with _call(port) as line:
        line.recv(1)
        line.sendall(b"done")


def stay_deaf(port: int) -> None:
    """As a job in a C library that swallows its time limit."""
    with _call(port) as line:
        while True:
            with suppress(TimeoutException):
                line.recv(1)


def die(port: int) -> None:
    """As a job that the kernel ends for want of memory."""
    with _call(port):
        os.kill(os.getpid(), signal.SIGKILL)


def _call(port: int) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port))
    line.sendall(b"%d\n" % os.getpid())
    return line
