"""Scripts that operators have had for years carry a video to YouTube, unchanged: only SCRIPTS_DIR names them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from production.models import LedgerEntry, Take
from production.stages import PIECES, Status
from publishing.models import Upload
from tests.journeys.conftest import Journey

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]

CLASSIC = Path(__file__).parent / "classic"


def test_journey_with_scripts_of_the_classic_contract(journey: Callable[..., Journey]) -> None:
    made = [piece for piece in PIECES if piece.is_script]
    assert {piece.does for piece in made} == {path.name for path in CLASSIC.glob("*.py")} - {"classic.py"}
    run = journey(clips=3, SCRIPTS_DIR=str(CLASSIC))
    page_id = run.queue("How old scripts live on")
    task = run.watch_to(page_id, Status.PUBLISHED)

    assert set(task.takes.values_list("state", "attempt").distinct()) <= {(Take.State.DONE, 1), (Take.State.DONE, 0)}
    kinds = set(task.takes.values_list("kind", flat=True))
    assert {"image", "clip", "narration", "sound", "film"} <= kinds
    assert kinds & {"composite", "split"}
    assert {call["vendor"] for call in run.sandbox.paid()} == {"gemini"}, "the plan; the scripts asked nobody of ours"
    paid = task.takes.filter(kind__in=[piece.kind for piece in PIECES if piece.paid])
    assert LedgerEntry.objects.filter(take__task=task, state=LedgerEntry.State.SETTLED).count() == paid.count()
    assert [video["sha256"] for video in run.sandbox.videos()] == [task.takes.get(kind="film").sha256]
    assert Upload.objects.get(task=task).lacks == "", "no thumbnail and no captions were made, so none are missing"
    assert run.sandbox.page(page_id)["properties"]["YouTube URL"] == task.youtube_url
