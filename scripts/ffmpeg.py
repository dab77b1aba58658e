"""Running ffmpeg: one command at a time or a crew of them on all cores, with a line that says what went wrong."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import environment
from contract import Failure

Arguments = list[str]
# Before the input of a file that a vendor has sent: one that is whole in itself. A playlist by the name of clip.mp4
# (DASH, concat, SDP) would have ffmpeg open other files of this machine, or wait on a port.
FOREIGN = ("-format_whitelist", "mov,mp3,wav,matroska,ogg,flac,aac,avi,mpegts")
Work = Generator["Step", str, None]


@dataclass(frozen=True)
class Step:
    """One ffmpeg command. what: the words for it in an error; arguments: all after the executable."""

    what: str
    arguments: Arguments


def executable() -> str:
    """The ffmpeg to run: the setting FFMPEG, else the one that comes with imageio-ffmpeg."""
    chosen = environment.setting("FFMPEG")
    if not chosen:
        import imageio_ffmpeg

        try:
            return str(imageio_ffmpeg.get_ffmpeg_exe())
        except RuntimeError:
            raise Failure("permanent", "no ffmpeg: install imageio-ffmpeg or set FFMPEG") from None
    found = shutil.which(chosen)
    if not found:
        raise Failure("permanent", f"FFMPEG names no program: {chosen}")
    return found


def run_step(step: Step) -> str:
    """Run one command to its end and return its log."""
    logs: list[str] = []
    run_crew([_single(step, logs)], Path.cwd(), hands=1)
    return logs[0]


def _single(step: Step, logs: list[str]) -> Work:
    logs.append((yield step))


@dataclass
class _Running:
    step: Step
    work: Work
    process: subprocess.Popen[bytes]
    log: BinaryIO


def run_crew(works: Iterable[Work], directory: Path, *, hands: int) -> None:
    """Carry out several works, at most ``hands`` commands at a time, in the given directory.

    A work is a generator that yields the next command and is sent its log. The first failure ends everything.
    """
    program = executable()
    waiting = list(works)
    running: list[_Running] = []

    def proceed(work: Work, log: str | None) -> None:
        try:
            step = next(work) if log is None else work.send(log)
        except StopIteration:
            return
        running.append(_start(program, step, work, directory))

    try:
        while waiting or running:
            while waiting and len(running) < hands:
                proceed(waiting.pop(0), None)
            if running:
                ended = _wait_for_one(running)
                running.remove(ended)
                proceed(ended.work, _log_of(ended))
    finally:
        for left in running:
            left.process.kill()
            left.process.wait()
            left.log.close()


def _start(program: str, step: Step, work: Work, directory: Path) -> _Running:
    log = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the process; _log_of closes it)
    command = [program, "-nostdin", "-hide_banner", "-nostats", "-y", *step.arguments]
    process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
    return _Running(step, work, process, log)


def _wait_for_one(running: list[_Running]) -> _Running:
    """Sleep until a child ends; it is only looked at, so that its Popen can still collect it."""
    while True:
        for one in running:
            if one.process.poll() is not None:
                return one
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)


def _log_of(ended: _Running) -> str:
    with ended.log:
        ended.log.seek(0)
        log = ended.log.read().decode("utf-8", errors="replace")
    if ended.process.returncode:
        lines = [line.strip() for line in log.splitlines() if line.strip()]
        raise Failure(
            "permanent", f"{ended.step.what}: ffmpeg: {lines[-1] if lines else f'exit {ended.process.returncode}'}"
        )
    return log
