"""From a signed webhook to a published video, told by the vendors' own books."""

import json
import re
from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import av
import pytest
from django.urls import reverse

from production import decisions, outbox, workspace
from production.models import LedgerEntry, NotionEvent, Take, Task
from production.providers import LANES
from production.stages import STAGES, Status, Verb
from publishing.models import Upload
from tests.journeys.conftest import Journey
from tests.media import loudness

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]

S = Status
WAY = [
    S.QUEUED, S.CLAIMED, S.GENERATING_ASSETS, S.ASSETS_READY, S.ASSETS_APPROVED, S.GENERATING_COMPOSITES,
    S.COMPOSITES_READY, S.GENERATING_VIDEO, S.VIDEO_READY, S.VIDEO_APPROVED, S.GENERATING_AUDIO, S.AUDIO_READY,
    S.AUDIO_APPROVED, S.GENERATING_SFX, S.SFX_READY, S.ASSEMBLING, S.ASSEMBLY_READY, S.FINAL_REVIEW, S.APPROVED,
    S.UPLOADING, S.PUBLISHED,
]  # fmt: skip


def test_journey_from_row_to_youtube(journey: Callable[..., Journey]) -> None:
    run = journey(clips=2, pages=True)
    page_id = run.queue("Why cats purr", **{"Story Direction": "From the throat to the heart"})
    task = run.watch_to(page_id, S.PUBLISHED)

    moved = [change.after for change in task.changes.all() if change.before != change.after]
    assert moved == WAY
    assert_film(task)
    assert_books(run, task)
    assert_notion(run, task, page_id)
    assert_review_page(run, task)
    assert_logs(run, task)
    assert set(task.takes.values_list("state", flat=True)) == {Take.State.DONE}
    assert not task.takes.filter(simulated=False).exists()


def assert_logs(run: Journey, task: Task) -> None:
    """Both clusters log lines of JSON; what is done to a take names its task and channel; no line names a secret."""
    secrets = [value for name, value in run.stack.environment.items() if name.endswith(("_KEY", "_SECRET"))]
    for name in ("calls", "cpu"):
        log = (run.stack.folder / "logs" / f"{name}.log").read_text()
        lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        about = [(line["task"], line["channel"]) for line in lines if line["event"] == "take_attempt_settled"]
        assert set(about) == {(task.pk, task.channel.slug)}
        assert len(about) >= len(task.takes.filter(lane__in=[lane.name for lane in LANES if lane.cluster == name]))
        assert not [secret for secret in secrets if secret in log]


def assert_film(task: Task) -> None:
    film = workspace.canonical(task.takes.get(kind="film"), "film")
    spoken = sum(take.seconds or 0 for take in task.takes.filter(kind="narration"))
    with av.open(str(film)) as media:
        picture, sound = media.streams.video[0], media.streams.audio[0]
        assert (picture.codec.name, picture.pix_fmt, picture.width, picture.height) == ("h264", "yuv420p", 1920, 1080)
        assert (sound.codec.name, sound.rate) == ("aac", 48000)
        lengths = [float(stream.duration * stream.time_base) for stream in (picture, sound)]
        frame = 1 / float(picture.average_rate)
    assert abs(lengths[0] - lengths[1]) <= frame
    assert abs(lengths[0] - spoken) <= 2 * frame * task.clips.count()
    beside = workspace.file_of(task.takes.get(kind="film"))
    assert beside.with_suffix(".srt").read_text().startswith("1\n00:00:00,")
    integrated, peak = loudness(film)
    assert abs(integrated + 14) <= 0.5
    assert peak <= -1.5 + 0.1


def assert_books(run: Journey, task: Task) -> None:
    """Each paid call once, at the vendors and in our ledger alike."""
    paid = run.sandbox.paid()
    assert (
        max(Counter((call["vendor"], call["operation"], call["digest"] or call["ref"]) for call in paid).values()) == 1
    )
    made = task.takes.filter(kind__in=["plan", "image", "clip", "narration", "sound"]).count()
    assert len(paid) == LedgerEntry.objects.filter(take__task=task).count() == made == 6 + 4 + 2 + 2 + 2
    assert set(LedgerEntry.objects.values_list("state", flat=True)) == {LedgerEntry.State.SETTLED}
    assert [video["sha256"] for video in run.sandbox.videos()] == [task.takes.get(kind="film").sha256]
    assert run.sandbox.videos()[0]["status"]["privacyStatus"] == "private"
    assert run.stack.environment["KIE_WEBHOOK_KEY"], "callbacks are heard only if they are signed"
    assert [call["status"] for call in run.sandbox.calls("kie", "callback")] == [200, 200]
    assert run.sandbox.videos()[0]["thumbnail"]
    assert Upload.objects.get(task=task).lacks == "", "captions went along too"
    clips = [call for call in paid if call["vendor"] == "kie"]
    booked = LedgerEntry.objects.filter(take__kind="clip").values_list("actual_usd", flat=True)
    assert sum(booked) == Decimal(str(sum(call["usd"] for call in clips)))


def assert_notion(run: Journey, task: Task, page_id: str) -> None:
    row = run.sandbox.page(page_id)["properties"]
    assert row["Status"] == "Published"
    assert row["YouTube URL"] == task.youtube_url
    assert row["Error Log"] in (None, "")
    assert round(row["Cost"], 4) == float(round(outbox.cost(task), 4))
    assert NotionEvent.objects.filter(author="person", state=NotionEvent.State.DONE).exists()
    assert NotionEvent.objects.filter(author="bot", state=NotionEvent.State.IGNORED).exists()


def assert_review_page(run: Journey, task: Task) -> None:
    """As a browser gets it from the real web server: whole, its static files kept for ever, the film with seek."""
    film = task.takes.get(kind="film")
    with run.operators_browser() as browser:
        page = browser.get(f"{run.stack.url}{reverse('admin:production_task_review', args=[task.pk])}", timeout=10)
        assert page.status_code == 200
        assert task.title in page.text
        files = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text))
        assert {"review", "house"} <= {re.split("[./]", file.removeprefix("/static/"))[0] for file in files}
        for file in files:
            answer = browser.get(f"{run.stack.url}{file}", timeout=10)
            assert (answer.status_code, "immutable" in answer.headers["Cache-Control"]) == (200, True), file
        part = {"Range": f"bytes={film.size - 100}-"}
        seen = browser.get(f"{run.stack.url}{reverse('take-file', args=[film.pk])}", headers=part, timeout=10)
        assert (seen.status_code, len(seen.content)) == (206, 100)


def test_journey_retry_redoes_only_what_is_missing(journey: Callable[..., Journey]) -> None:
    """One picture is refused: the rest is kept, the row says why, a retry buys that one and no other."""
    run = journey(clips=2)
    run.sandbox.plan_fault("gemini", "refuse", operation="generateContent", match="full figure, alone", times=1)
    page_id = run.queue("The refused portrait")
    task = run.watch_to(page_id, S.ASSET_ERROR)
    assert task.takes.filter(state=Take.State.FAILED).count() == 1
    row = run.sandbox.page(page_id)["properties"]
    assert row["Status"] == "Asset Error"
    assert "image" in row["Error Log"]
    run.watch(lambda: bool([c for c in run.sandbox.calls("slack") if c["accepted"]]), "Slack message")
    before = len(run.sandbox.paid("gemini"))
    decisions.retry(task, by="operator")
    run.watch(run.approving(page_id, lambda task: task.status == S.ASSETS_READY), "images")
    assert len(run.sandbox.paid("gemini")) == before + 1
    assert task.changes.filter(verb=Verb.RETRY, stage=STAGES[0].name).exists()
