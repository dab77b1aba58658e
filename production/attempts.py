"""One attempt of a take: its order is written out, its script started (or found again), watched, and judged."""

import json
import socket
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog
from django.conf import settings
from django.urls import reverse
from django.utils.module_loading import import_string

from production import looking, probe, providers, runner, takes, workspace
from production.errors import LASTING, Kind, StaleError, Trouble
from production.looking import Looked
from production.models import Take
from production.runner import Order, Report, Run

log = structlog.get_logger(__name__)
BEAT = 2.0  # seconds between two looks at running scripts, each of which renews their leases
KILLED = range(129, 193)  # exit codes by which a shell names the signal that ended its command; ffmpeg has others above
Found = TypeVar("Found")
ASK_SECONDS = int(takes.ASK_LIMIT.total_seconds())


@dataclass(frozen=True)
class Outcome:
    """What one attempt came to: an output, or a provider's job id, or trouble. `usd` as the provider says it;
    `dead_ref`: the job that was to be collected has failed there, only another one can succeed."""

    output: Path | None = None
    ref: str = ""
    dead_ref: bool = False
    trouble: Trouble | None = None
    usd: Decimal | None = None
    seconds: float | None = None
    sha256: str = ""
    size: int = 0
    result: dict[str, Any] = field(default_factory=dict)
    looked: Looked = field(default_factory=Looked)

    @property
    def made(self) -> dict[str, Any]:
        """The columns of a take that came of it, but for its place."""
        figures = {"findings": self.looked.findings, "measured": self.looked.measured}
        return figures | {name: getattr(self, name) for name in ("result", "sha256", "size", "seconds")}


def carry_out(
    claimed: list[Take],
    *,
    seconds: float,
    more: Callable[[int], list[Take]] = lambda under_way: [],
    go_on: Callable[[], bool] = lambda: True,
) -> Iterator[tuple[Take, Outcome]]:
    """Work on claimed takes until each has ended, yielding each with its outcome; whenever one has, `more` (it is told
    how many are under way) may bring others.

    Scripts that still run after `seconds`, or when it is not to `go_on`, do so by themselves: their claims are let go,
    the next ring adopts them.
    """
    runs: dict[Run, Take] = {}
    looks: dict[Run, Outcome] = {}  # what is looked over, and what came of the attempt that made it
    yield from _begin(claimed, runs)

    def beat() -> bool:
        _beat(runs)
        return go_on()

    every = min(BEAT, settings.LEASE.total_seconds() / 4)
    try:
        for run in runner.watch(runs.keys(), seconds=seconds, beat=beat, every=every):
            take = runs.pop(run)
            found = _tried(take, partial(_ended, run, looks))
            if isinstance(found, Run):
                runs[found] = take
            elif found:
                yield take, found
            yield from _begin(more(len(runs)), runs)
    finally:  # also where the database went away: their pipes are ours to close
        for run in runs:
            run.leave()
    for take in runs.values():
        takes.let_go(take)


def _begin(claimed: list[Take], runs: dict[Run, Take]) -> Iterator[tuple[Take, Outcome]]:
    """Start what is a script, call what is a function of ours; yields what has ended with that."""
    for take in claimed:
        begin: Callable[[Take], Run | Outcome] = _start if take.piece.is_script else _call
        found = _tried(take, begin)
        if isinstance(found, Run):
            runs[found] = take
        elif found:
            yield take, found


def _tried(take: Take, act: Callable[[Take], Found]) -> Found | Outcome | None:
    """Whatever goes wrong with one take is its trouble, said in its task's Error Log; it never stops the others. None:
    somebody else is at it.

    Every exception is caught here: a take that nobody settles would be adopted again for ever.
    """
    try:
        return act(take)
    except Trouble as trouble:
        return Outcome(trouble=trouble, usd=trouble.usd)
    except StaleError:
        return None
    except Exception as error:
        log.exception("take_attempt_broke", take=take.pk, task=take.task_id, piece=take.name)
        return Outcome(trouble=broken(take, error))


def broken(take: Take, error: Exception) -> Trouble:
    """An error of ours. What it interrupted may have been paid."""
    message = f"{take.piece.does} broke: {type(error).__name__}: {error}"
    return Trouble(Kind.UNKNOWN if take.is_buying else Kind.PERMANENT, message[:500])


def ask(submitted: list[Take]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Ask a provider about all these jobs, one script (PHASE=poll) an account. Returns {ref: its state line}, and
    {account: why it could not be asked, empty where it answered}: one account's trouble is not the others'."""
    accounts: dict[str, list[Take]] = defaultdict(list)
    for take in submitted:
        accounts[_account(take)].append(take)
    with workspace.scratch() as folder:
        begun = {
            name: _tried(group[0], partial(_put, group, folder / str(number)))
            for number, (name, group) in enumerate(accounts.items())
        }
        names = {run: name for name, run in begun.items() if isinstance(run, Run)}
        watched = runner.watch(names.keys(), seconds=ASK_SECONDS + 5, beat=lambda: True)
        reports = {names[run]: run.report() for run in watched}
    told = {name: words for name, report in reports.items() if (words := _answer(report)) is not None}
    broke = {name: end.trouble.message for name, end in begun.items() if isinstance(end, Outcome) and end.trouble}
    return {str(line.get("ref", "")): line for report in reports.values() for line in report.all("state")}, told | broke


def _account(take: Take) -> str:
    """Whose key the provider is asked with."""
    return f"channel {take.channel.slug}" if providers.has_own_key(take) else "the common key"


def _answer(report: Report) -> str | None:
    """Why the provider won't answer, unless that passes by itself; empty where it answers; None: who knows."""
    lines = report.all("state")
    refused = [line for line in lines if line.get("state") == "unreachable" and line.get("kind") in LASTING]
    refused += [line for line in report.all("error") if report.code and line.get("kind") in LASTING]
    if refused:
        return str(refused[0].get("message") or "it was refused without a word")[:500]
    return "" if any(line.get("state") != "unreachable" for line in lines) else None


def _put(group: list[Take], folder: Path, one: Take) -> Run:
    """The question about all of them, with the account of one."""
    order = Order(
        script=one.piece.does,
        flags=["--image", "-", "--prompt", "-", "--output", str(folder / "none")],
        env=_environment() | {"PHASE": "poll", "REFS": ",".join(take.ref for take in group)},
        secrets=_secrets(one),
        folder=folder,
        output=None,
        seconds=ASK_SECONDS,
    )
    return runner.start(order)


# ---------------------------------------------------------------- started


def _start(take: Take) -> Run:
    """Errors: Trouble where it can't be started."""
    order = write_order(take)
    if found := runner.find(order):
        return found
    if take.host != socket.gethostname():
        raise _gone(take, f"Its machine {take.host} is lost")
    _require_sources_as_made(take)
    try:
        return runner.start(order)
    except FileNotFoundError as error:
        raise Trouble(Kind.PERMANENT, str(error)) from error


def _require_sources_as_made(take: Take) -> None:
    """Who copies them bit for bit would not see that a disk has lost some; 18 clips are hashed in half a second.
    Errors: Trouble."""
    if take.piece.paid:
        return
    for source in take.sources.exclude(sha256="").select_related("task__channel"):
        path = workspace.file_of(source)
        if path.is_file() and workspace.fingerprint(path)[0] != source.sha256:
            raise Trouble(Kind.PERMANENT, f"{source.name} is not as it was made: {path} has changed; redo it")


def write_order(take: Take) -> Order:
    """Everything the script gets, with files in place of the recipe's take ids."""
    piece, folder = take.piece, workspace.run_folder(take)
    output = folder / f"{piece.kind}{piece.suffix}"
    sources = {source.pk: source for source in take.sources.all()}
    flags = [_resolved(part, sources, folder) for part in take.recipe["flags"]]
    return Order(
        script=piece.does,
        flags=[*flags, "--output", str(output)],
        env=_environment() | take.recipe["env"] | _phase(take),
        secrets=_secrets(take),
        folder=folder,
        output=output,
        seconds=piece.seconds,
        is_here=take.host == socket.gethostname(),
    )


def _resolved(part: Any, sources: dict[int, Take], folder: Path) -> str:
    if isinstance(part, dict) and "json" in part:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "manifest.json"
        path.write_text(json.dumps(_with_files(part["json"], sources), indent=1))
        return str(path)
    return str(_with_files(part, sources))


def _with_files(part: Any, sources: dict[int, Take]) -> Any:
    """`part` with each {"take": id} replaced by the path of that take's file."""
    if isinstance(part, list):
        return [_with_files(item, sources) for item in part]
    if isinstance(part, dict):
        if part.keys() == {"take"}:
            return str(workspace.file_of(sources[part["take"]]))
        return {key: _with_files(value, sources) for key, value in part.items()}
    return part


def _environment() -> dict[str, str]:
    return {name: value for name, value in (settings.ADDRESSES | settings.MODELS).items() if value}


def _secrets(take: Take) -> dict[str, str]:
    """Only what this script needs; a channel's own token goes before the common one."""
    found = {name: providers.key_of(take.channel, name) for name in take.piece.secrets}
    return {name: value for name, value in found.items() if value}  # an empty one would hide the script's own .env


def _phase(take: Take) -> dict[str, str]:
    if not take.piece.two_phase:
        return {}
    if take.ref:
        return {"PHASE": "collect", "REF": take.ref}
    callback = settings.PUBLIC_URL + reverse("callback", args=[take.token])
    return {"PHASE": "submit", "CALLBACK_URL": callback} | _seed(take)


def _seed(take: Take) -> dict[str, str]:
    """Where SEED_UPLOAD=signed: the address at which the provider gets the still from us."""
    source = take.sources.first()
    if settings.MODELS["SEED_UPLOAD"] != "signed" or source is None:
        return {}
    name = workspace.file_of(source).name
    return {"SEED_URL": settings.PUBLIC_URL + reverse("signed-file", args=[workspace.signed_name(source), name])}


def _beat(runs: dict[Run, Take]) -> None:
    for run, take in runs.items():
        said = [e for e in runner.events(run.order.folder, run.order.secrets) if e["event"] == "progress"]
        take.progress = f"{said[-1].get('done')}/{said[-1].get('of')}"[:20] if said else ""
    takes.renew(runs.values())


def _call(take: Take) -> Outcome:
    """Pieces that are made by a function of ours. It gets `beat`, to be called between its requests.

    Its folder is locked while it is at work: nobody adopts it then, however long it is silent. Afterwards the folder
    tells that it was begun before: then its result is there, or it can resume, or nobody knows.
    """
    folder = workspace.run_folder(take)
    output = folder / f"{take.piece.kind}{take.piece.suffix}"
    if output.exists():
        return _with_output(output, result=json.loads(output.read_text()))
    if not take.piece.resumes and (folder.exists() or take.host != socket.gethostname()):
        return Outcome(trouble=_gone(take, "Its worker was killed during the call"))
    folder.mkdir(parents=True, exist_ok=take.piece.resumes)
    with runner.holding(folder):
        result, usd = import_string(take.piece.does)(take, lambda: takes.renew([take]))
        workspace.write(output, json.dumps(result, ensure_ascii=False, indent=1))
    return _with_output(output, usd=usd, result=result)


def _with_output(output: Path, **words: Any) -> Outcome:
    """The file is measured here, outside of every transaction."""
    sha256, size = workspace.fingerprint(output)
    return Outcome(output=output, sha256=sha256, size=size, **words)


# ---------------------------------------------------------------- judged


def _ended(run: Run, looks: dict[Run, Outcome], take: Take) -> Run | Outcome:
    """A script's end is judged; what it has made is looked over by another run, whose end makes the outcome whole."""
    if outcome := looks.pop(run, None):
        return _looked(take, outcome, run)
    outcome = judge(take, run.report())
    if outcome.output is None:
        return outcome
    try:
        look = looking.begin(take.kind, outcome.output)
    except OSError as error:
        return replace(outcome, looked=looking.unseen(str(error)))
    looks[look] = outcome
    return look


def _looked(take: Take, outcome: Outcome, look: Run) -> Outcome:
    """What is made stays made, whatever becomes of the look."""
    assert outcome.output
    words = outcome.result.get("words", [])
    try:
        looked = looking.read(take.kind, outcome.output, look.report(), text=take.prompt, words=words)
    except Exception as error:
        log.exception("take_look_broke", take=take.pk, task=take.task_id, piece=take.name)
        looked = looking.unseen(type(error).__name__)
    return replace(outcome, looked=looked)


def judge(take: Take, report: Report) -> Outcome:
    """What the script's exit code, words and output mean. A classic script says nothing: then code and stderr count."""
    usd = usd_of(report.said("cost"))
    if report.code == 0 and report.output:
        return _measured(take, report, report.output, usd)
    if report.code == 0 and (submitted := report.said("submitted")) and submitted.get("ref"):
        return Outcome(ref=str(submitted["ref"])[:200], usd=usd)
    state = report.said("state") or {}
    return Outcome(trouble=_trouble(take, report), usd=usd, dead_ref=state.get("state") == "fail")


def _measured(take: Take, report: Report, output: Path, usd: Decimal | None) -> Outcome:
    """A file that is no media may have been paid for all the same."""
    try:
        seconds = probe.seconds_of(output)
    except Trouble as trouble:
        return Outcome(trouble=trouble if usd else _lost(take, report, trouble.message), usd=usd)
    timings = report.said("timings") or {}
    result = {"words": timings["words"]} if isinstance(timings.get("words"), list) else {}
    return _with_output(output, usd=usd, seconds=seconds, result=result)


def usd_of(said: dict[str, Any] | None) -> Decimal | None:
    """The "usd" of a cost or state line, if it is a sum of money."""
    try:
        usd = Decimal(str(said["usd"])) if said else None
    except (KeyError, InvalidOperation):
        return None
    return usd if usd is not None and usd.is_finite() and 0 <= usd < 1000 else None


def _trouble(take: Take, report: Report) -> Trouble:
    piece = take.piece
    said = report.said("error")
    if said and said.get("kind") in list(Kind):
        return Trouble(
            Kind(said["kind"]),
            str(said.get("message", ""))[:500] or f"{piece.does} failed without a word",
            retry_after=_pause(said.get("retry_after")),
        )
    if report.timed_out:
        return _lost(take, report, f"{piece.does} was ended: no result within {piece.seconds} s")
    if report.code is None or report.code in KILLED:
        return _lost(take, report, f"{piece.does} vanished: its process was killed", at_once=True)
    if report.code == 0:
        return _lost(take, report, f"{piece.does} ended well but wrote no {piece.suffix[1:]} file")
    last = report.stderr.splitlines()[-1] if report.stderr else "without a word"
    return _lost(take, report, f"{piece.does} failed ({report.code}): {last}"[:500])


def _pause(said: Any) -> float | None:
    """Seconds from nothing to a week; anything else (JSON lets NaN through) says nothing."""
    return float(said) if isinstance(said, int | float) and 0 <= said <= 7 * 86_400 else None


def _lost(take: Take, report: Report, message: str, *, at_once: bool = False) -> Trouble:
    """A script of ours says "sending" just before its paid call: one that said only "started" bought nothing."""
    if take.is_buying and (report.said("sending") or not report.said("started")):
        return Trouble(Kind.UNKNOWN, message)
    if at_once or report.timed_out:
        return Trouble(Kind.TRANSIENT, message, retry_after=0)
    return Trouble(Kind.PERMANENT, message)


def _gone(take: Take, message: str) -> Trouble:
    """Who collects a finished render buys nothing."""
    return Trouble(Kind.UNKNOWN if take.is_buying else Kind.TRANSIENT, message)
