#!/usr/bin/env python3
"""Render a ten-second clip from a seed image with Kling at KIE.

Without PHASE: upload, submit, wait, download. PHASE=submit ends after the submission; PHASE=poll asks about REFS=a,b,c;
PHASE=collect downloads the finished REF. CALLBACK_URL, if set, is told when the render ends.
"""

import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import environment
import kie
from command import Parser, run
from contract import Failure, emit, hide, require_file, whole_file
from ffmpeg import FOREIGN, Step, executable, run_step
from web import MEGABYTE, download

Flags = dict[str, bool]

DOWNLOAD_SECONDS = 300
DOWNLOAD_BYTES = 500 * MEGABYTE
FIRST_PICTURE = ("-map", "0:v:0", "-frames:v", "1", "-f", "null", "-")
# Settings and their defaults. 84 credits, 0.42 USD: ten seconds of 2.5 turbo.
NUMBERS = {"KIE_WAIT_SECONDS": 900, "KIE_FIRST_POLL_SECONDS": 2, "KIE_VIDEO_CREDITS": 84, "KIE_CREDIT_USD": 0.005}
POLL_SECONDS = 5.0  # the longest pause between two questions


def submit(arguments: Namespace) -> str:
    """Upload the seed for free, then buy the render; the task's id is printed the moment it is known."""
    import seeds  # with Pillow, which asking and collecting never need

    hide(environment.setting("CALLBACK_URL"))
    prompt = arguments.prompt.strip()
    if not 0 < len(prompt) <= kie.PROMPT_LENGTH:
        raise Failure("permanent", f"--prompt has {len(prompt)} characters; 1 to {kie.PROMPT_LENGTH} are allowed")
    require_file(arguments.image, "seed image")
    environment.secret("KIE_API_KEY")
    ref = kie.submit(seeds.upload(arguments.image), prompt)
    emit("submitted", ref=ref)
    return ref


def poll(_arguments: Namespace) -> None:
    """Print one line for each of REFS; one that can't be asked now is unreachable and spoils no other."""
    environment.secret("KIE_API_KEY")
    refs = [ref.strip() for ref in environment.setting("REFS").split(",") if ref.strip()]
    if not refs:
        raise Failure("permanent", "PHASE=poll needs REFS")
    for ref in refs:
        try:
            _print_state(kie.ask(ref))
        except Failure as failure:
            emit("state", ref=ref, state="unreachable", kind=failure.kind, message=failure.message)


def _print_state(render: kie.Render) -> None:
    cost = {} if render.credits is None else {"units": render.credits, "unit": "credits", "usd": _usd(render.credits)}
    why = {"kind": render.failure.kind, "message": render.failure.message} if render.failure else {}
    emit("state", ref=render.ref, state=render.state, **why, **cost)


def collect(arguments: Namespace) -> None:
    """Download the finished REF."""
    ref = environment.setting("REF")
    if not ref:
        raise Failure("permanent", "PHASE=collect needs REF")
    render = kie.ask(ref)
    if render.state == "generating":
        raise Failure("transient", f"{ref} is still rendering", retry_after=POLL_SECONDS)
    with whole_file(arguments.output) as part:
        _save(render, part)


def render_and_wait(arguments: Namespace) -> None:
    """The classic mode: block until the clip is there."""
    executable()  # it looks at the clip in the end
    with whole_file(arguments.output) as part:
        _save(_wait_for(submit(arguments)), part)


def _wait_for(ref: str) -> kie.Render:
    """Ask with growing pauses until the render ends; a question that fails is asked again."""
    deadline = time.monotonic() + _number("KIE_WAIT_SECONDS")
    pause = _number("KIE_FIRST_POLL_SECONDS")
    while time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(pause * 1.25, POLL_SECONDS)
        try:
            render = kie.ask(ref)
        except Failure as failure:
            if failure.kind != "transient":
                raise
            continue
        if render.state != "generating":
            return render
    raise Failure("unknown", f"{ref} was still rendering when our patience ended")


def _save(render: kie.Render, part: Path) -> None:
    """Book the cost, then fetch the clip and prove that it is one by decoding its first picture. Of a render that has
    failed the state is told as well: nothing will ever be collected from it."""
    _print_cost(render)
    if render.failure:
        _print_state(render)
        raise render.failure
    download(render.url, part, service="KIE", home=kie.base_address(), seconds=DOWNLOAD_SECONDS, limit=DOWNLOAD_BYTES)
    run_step(Step("the downloaded clip", ["-v", "error", *FOREIGN, "-i", str(part), *FIRST_PICTURE]))


def _print_cost(render: kie.Render) -> None:
    """What KIE says it took; where it says nothing, the price list's figure, marked as an estimate."""
    if render.credits is not None:
        emit("cost", units=render.credits, unit="credits", usd=_usd(render.credits))
    elif render.state == "success":
        listed = _number("KIE_VIDEO_CREDITS")
        emit("cost", units=listed, unit="credits", usd=_usd(listed), estimated=True)


def _usd(amount: float) -> float:
    return round(amount * _number("KIE_CREDIT_USD"), 6)


def _number(name: str) -> float:
    return environment.number(name, NUMBERS[name])


PHASES: dict[str, tuple[Callable[[Namespace], object], Flags]] = {
    "": (render_and_wait, {"--image": True, "--prompt": True, "--output": True}),
    "submit": (submit, {"--image": True, "--prompt": True, "--output": False}),
    "poll": (poll, {"--image": False, "--prompt": False, "--output": False}),
    "collect": (collect, {"--image": False, "--prompt": False, "--output": True}),
}


def main(arguments: Namespace) -> None:
    """Do what PHASE asks for."""
    phase = environment.setting("PHASE")
    if phase not in PHASES:
        raise Failure("permanent", f"PHASE is {phase!r}, not one of submit, poll, collect")
    for name, default in NUMBERS.items():
        environment.number(name, default)  # a mistake here is found before anything is paid
    action, flags = PHASES[phase]
    missing = [flag for flag, needed in flags.items() if needed and getattr(arguments, flag.strip("-")) is None]
    if missing:
        raise Failure("permanent", f"{', '.join(missing)} missing")
    action(arguments)


def parser() -> Parser:
    """The classic flags; which of them must be there depends on PHASE."""
    flags = Parser(description=__doc__)
    flags.add_argument("--image", type=Path)
    flags.add_argument("--prompt")
    flags.add_argument("--output", type=Path)
    return flags


if __name__ == "__main__":
    run(main, parser())
