"""What the vendors' own books say at the end, held against the rows: the only evidence that counts."""

from collections import Counter
from typing import Any

from sandbox.client import SandboxClient
from tests.chaos.scene import Scene

PLAN = "plan"
CENT = 0.01
KEPT = 500  # characters of a prompt that the books keep


def count(scene: Scene, sandbox: SandboxClient) -> dict[str, Any]:
    """What was lost, paid or uploaded twice, and left behind; and what was spent by our ledger and by their books."""
    from production.models import LedgerEntry, Take
    from production.stages import Status

    tasks = scene.tasks()
    published = [task for task in tasks if task.status == Status.PUBLISHED]
    films = Counter(video["sha256"] for video in sandbox.videos())
    lines = LedgerEntry.objects.filter(take__task__in=tasks)
    spent, billed = float(lines.total()), _billed_usd(sandbox)
    return {
        "published": len(published),
        "tasks_lost": len(set(scene.pages) - {task.page_id for task in tasks})
        + sum(not _is_whole(task) for task in published),
        "paid_twice": sum(_paid_too_often(scene, sandbox).values()),
        "paid_twice_for": dict(_paid_too_often(scene, sandbox)),
        "uploaded_twice": sum(max(0, films[_film(task)] - 1) for task in published) + _strangers(films, published),
        "stuck": len(scene.pages) - len(published),
        "claims_left": Take.objects.filter(task__in=tasks).in_flight().count(),
        "lines_open": lines.filter(state__in=["reserved", "submitted", "unknown"]).count(),
        "written_off_usd": float(lines.filter(state="written_off").total()),
        "spent_usd": spent,
        "books_usd": billed,
        "unbooked_usd": round(billed - spent, 4) if billed > spent + CENT / 10 else 0,
        "attempts": dict(Counter(lines.values_list("state", flat=True)).items()),
    }


def _is_whole(task: Any) -> bool:
    """Every piece that its stages need has a selected take."""
    from production import recipes
    from production.stages import STAGES

    selected = {take.key for take in task.takes.filter(selected=True)}
    needs = [need for stage in STAGES for need in recipes.needs(task, stage)]
    return bool(needs) and all(need.key in selected for need in needs)


def _billed_usd(sandbox: SandboxClient) -> float:
    """What the vendors keep: KIE gives the credits of a failed render back."""
    failed = {job["taskId"] for job in sandbox.jobs() if job["state"] == "fail"}
    return round(sum(call["usd"] for call in sandbox.paid() if call["ref"] not in failed), 4)


def _film(task: Any) -> str:
    return str(task.takes.get(kind="film", selected=True).sha256)


def _strangers(films: Counter[str], published: list[Any]) -> int:
    """Videos on YouTube that are no published task's film."""
    return sum(films.values()) - sum(films[_film(task)] for task in published)


def _paid_too_often(scene: Scene, sandbox: SandboxClient) -> Counter[str]:
    """By prompt: paid calls beyond those that the ledger knows of. What it has written off, left unknown or settled is
    known; what it released was never to be billed. A render that KIE failed gave its credits back."""
    from production.models import LedgerEntry

    paid = Counter(call["text"].split(" | seed ")[0] for call in sandbox.paid())
    paid.subtract(job["prompt"][:KEPT] for job in sandbox.jobs() if job["state"] == "fail")
    known: Counter[str] = Counter()
    for line in LedgerEntry.objects.filter(take__task__in=scene.tasks()).exclude(state="released"):
        known[PLAN if line.take.kind == PLAN else line.take.prompt[:KEPT]] += 1
    pieces = {prompt: number - known[prompt] for prompt, number in paid.items() if prompt in known}
    plans = sum(number for prompt, number in paid.items() if prompt not in known) - known[PLAN]
    return Counter({prompt: number for prompt, number in (pieces | {PLAN: plans}).items() if number > 0})
