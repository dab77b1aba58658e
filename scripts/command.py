"""The frame around every script: arguments in, events out, exit code 0 or 1."""

import argparse
import io
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import environment
from contract import Failure, emit


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are failures like all others, not exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Fail for good: the same arguments will never be better."""
        raise Failure("permanent", message)


def run(main: Callable[[argparse.Namespace], None], parser: Parser) -> NoReturn:
    """Parse the arguments, do the work, leave with 0, or report why not and leave with 1."""
    _prepare_process()
    try:
        arguments = _arguments(parser)
        environment.load()
        main(arguments)
    except Failure as failure:
        failure.report()
        sys.exit(1)
    except OSError as error:  # a full disk, a directory that can't be written: a matter for a person
        Failure("permanent", f"{error.filename or 'file'}: {error.strerror or type(error).__name__}").report()
        sys.exit(1)
    sys.exit(0)


def _arguments(parser: Parser) -> argparse.Namespace:
    """Announce the start before judging the arguments; only ``--help`` stays free of events."""
    if not {"-h", "--help"} & set(sys.argv[1:]):
        emit("started")
    return parser.parse_args()


def _prepare_process() -> None:
    """Let a termination unwind the stack, so that half-written files and child processes go with us."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(1)
