"""What the review page shows and what its buttons do."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from production import asking, commitment, decisions, lifecycle, recipes, review, workspace
from production.cards import Flag
from production.models import Cap, Provider, Take, Task
from production.stages import REVIEWS, STAGE, STAGES, Status
from tests.factories import make_channel, make_production, make_stage, make_take, make_task, walk
from tests.pages import review_of

pytestmark = pytest.mark.django_db


def send(client: Client, task: Task, verb: str, **words: object) -> str:
    """Press a button of the page as it is now; the messages of the page that follows."""
    words = {"seen": review.seen(task), "verb": verb} | words
    reply = client.post(review_of(task), words, follow=True)
    assert reply.status_code == 200
    task.refresh_from_db()
    return " ".join(str(message) for message in reply.context["messages"])


# ---------------------------------------------------------------- looked at


@pytest.mark.parametrize("status", list(REVIEWS))
def test_read_every_gate_shows_every_piece_with_its_media(operator_client: Client, status: Status) -> None:
    channel = make_channel(gates=["assets", "composites", "video", "audio", "sfx"])
    task = make_production(status, channel=channel)
    page = review.read(task)
    assert page.stage == REVIEWS[status]
    assert page.tone == "you"
    assert all(card.state == "done" for card in page.cards)
    html = operator_client.get(review_of(task)).content.decode()
    for card in page.cards:
        assert card.kind == "plan" or card.shown.url in html


@pytest.mark.parametrize("status", list(Status))
def test_show_renders_in_every_status(operator_client: Client, status: Status) -> None:
    task = make_task(status)
    assert operator_client.get(review_of(task)).status_code == 200
    for stage in STAGES:
        assert operator_client.get(review_of(task), {"stage": stage.name}).status_code == 200


MOST_QUERIES = 15  # two of them are the login's


def test_show_takes_few_queries_for_any_number_of_clips_and_takes(
    operator_client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    small = make_production(Status.VIDEO_READY, clips=2)
    large = make_production(Status.VIDEO_READY, clips=60, assets=12)
    Cap.objects.create(meter="video", usd="13.00")
    for _ in range(3):
        for position in range(1, 61):
            make_take(large, "clip", position, usd="0.42")
    operator_client.get(review_of(small))
    for task in (small, large):
        with django_assert_num_queries(MOST_QUERIES - 1):
            operator_client.get(review_of(task))


@pytest.mark.parametrize("status", list(REVIEWS))
def test_show_takes_few_queries_at_every_gate(
    operator_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries, status: Status
) -> None:
    channel = make_channel(gates=["plan", "assets", "composites", "video", "audio", "sfx"])
    task = make_production(status, channel=channel)
    make_production(Status.VIDEO_READY)
    for meter in ("video", "channel_day", "lane_day"):
        Cap.objects.create(meter=meter, usd="13.00")
    operator_client.get(review_of(task))
    with django_assert_max_num_queries(MOST_QUERIES):
        operator_client.get(review_of(task))


def test_read_flags_a_narration_longer_than_its_clip() -> None:
    task = make_production(Status.AUDIO_READY)
    Take.objects.of("narration", 2).filter(task=task).update(seconds=11.2)
    page = review.read(task)
    assert [card.position for card in page.suspicious] == [2]


def test_read_shows_an_image_changed_after_its_composite_as_out_of_date() -> None:
    task = make_production(Status.COMPOSITES_READY)
    make_take(task, "image", 1)
    page = review.read(task, "composites")
    assert {card.state for card in page.cards} == {"stale"}


def test_read_of_a_failed_plan_flags_the_step_that_failed_and_none_that_nobody_reached() -> None:
    task = make_task(Status.ASSET_ERROR, failed="assets")
    make_take(task, "plan", 1, recipe=recipes.needs(task, STAGE["assets"])[0].recipe)
    make_take(task, "plan", 2, state=Take.State.FAILED, error="The text model was away")
    page = review.read(task)
    assert [card.key for card in page.cards] == [f"plan:{number}" for number in range(1, 7)]
    assert [(card.key, [flag.words for flag in card.flags]) for card in page.suspicious] == [
        ("plan:2", ["It could not be made"])
    ]


def test_read_misses_a_piece_only_where_its_turn_has_come() -> None:
    task = make_production(Status.VIDEO_READY)
    task.takes.filter(kind="clip", position=2).update(selected=False)
    assert [card.key for card in review.read(task).suspicious] == ["clip:2"]
    assert review.read(task, "audio").suspicious == []
    working = make_production(Status.GENERATING_VIDEO)
    assert review.read(working).suspicious == []


def test_read_says_why_it_stopped_and_not_what_was_noted_since() -> None:
    task = make_task(Status.VIDEO_ERROR, reason="No credits")
    lifecycle.note(task, "“Queued” was set in Notion and is put back")
    assert review.read(task).failure == "No credits"


def test_read_tells_what_is_known_of_the_film() -> None:
    task = make_production(Status.FINAL_REVIEW)
    measured = {"width": 1920, "height": 1080, "rate": 24.0, "lufs": -14.2, "true_peak": -1.6, "poster": True}
    found = [{"code": "frozen", "words": "stands still for 3.0 s", "severity": "warning", "at": 4.5}]
    task.takes.filter(kind="film").update(measured=measured, findings=found)
    film = task.takes.get(kind="film")
    workspace.file_of(film).with_suffix(".srt").write_text("")
    (card,) = review.read(task).cards
    assert card.flags == [Flag("stands still for 3.0 s", "warning", 4.5)]
    assert card.shown.poster_url == f"/media/take/{film.pk}/poster"
    assert card.shown.captions_url == f"/media/take/{film.pk}/captions.vtt"
    facts = card.shown.facts
    assert (facts.frame, facts.lufs, facts.true_peak, facts.is_loud_enough) == ("1920 × 1080", -14.2, -1.6, True)
    assert (facts.size, facts.seconds, facts.has_captions) == (film.size, film.seconds, True)


def test_read_of_a_take_that_nobody_looked_over() -> None:
    task = make_production(Status.VIDEO_READY, clips=1)
    (card,) = review.read(task).cards
    still = task.takes.get(kind="composite")
    assert (card.flags, card.shown.poster_url, card.shown.captions_url) == ([], "", "")
    assert card.poster == f"/media/take/{still.pk}"
    assert (card.shown.facts.frame, card.shown.facts.lufs, card.shown.facts.is_loud_enough) == ("", None, False)


def test_read_says_in_words_why_it_stopped(operator_client: Client) -> None:
    task = make_production(Status.VIDEO_ERROR, failed="video", reason="clip 2: moderation refused the prompt")
    make_take(task, "clip", 1)
    make_take(task, "clip", 2, state=Take.State.FAILED, error="The provider refused the prompt")
    html = operator_client.get(review_of(task)).content.decode()
    assert "moderation refused the prompt" in html
    assert "The provider refused the prompt" in html
    assert "Retry what failed" in html


def test_read_marks_simulated_takes(operator_client: Client) -> None:
    task = make_production(Status.ASSETS_READY)
    assert "Simulated" not in operator_client.get(review_of(task)).content.decode()
    task.takes.filter(kind="image", position=1).update(simulated=True)
    assert "Simulated" in operator_client.get(review_of(task)).content.decode()


def test_show_allows_no_script_but_its_own_files(operator_client: Client) -> None:
    reply = operator_client.get(review_of(make_production(Status.ASSETS_READY)))
    assert "script-src 'self'" in reply["Content-Security-Policy"]
    html = reply.content.decode()
    assert "<style" not in html
    assert " style=" not in html
    assert "<script>" not in html


# ---------------------------------------------------------------- what a yes costs


def test_commitment_counts_what_runs_until_the_next_gate() -> None:
    task = make_production(Status.ASSETS_READY, clips=3)
    Provider.objects.filter(name="video").update(prices={"clip": "0.50"})
    coming = commitment.of(task, STAGE["assets"])
    assert [stage.name for stage in coming.stages] == ["composites", "video"]
    assert coming.usd == Decimal("1.50")
    assert coming.until == "Video Ready"


def test_commitment_counts_no_piece_that_is_there_and_current() -> None:
    task = make_production(Status.ASSETS_READY, clips=3)
    make_stage(task, STAGE["composites"])
    make_stage(task, STAGE["video"])
    assert commitment.of(task, STAGE["assets"]).usd == 0


def test_commitment_counts_a_clip_whose_still_will_be_made_again() -> None:
    task = make_production(Status.ASSETS_READY, clips=3)
    make_stage(task, STAGE["composites"])
    make_stage(task, STAGE["video"])
    make_take(task, "image", 1)
    assert commitment.of(task, STAGE["assets"]).pieces == 6


# ---------------------------------------------------------------- who is asked


def test_queue_leaves_out_a_stage_without_a_gate() -> None:
    asked = make_task(Status.COMPOSITES_READY, channel=make_channel(gates=["composites"]))
    make_task(Status.COMPOSITES_READY, channel=make_channel(gates=[]))
    assert list(asking.queue(None)) == [asked]


def test_queue_leaves_out_a_yes_that_waits_for_a_slot() -> None:
    task = make_production(Status.COMPOSITES_READY, channel=make_channel(gates=["composites"]))
    decisions.approve(task, by="olga")
    assert not asking.queue(None).exists()


def test_queue_begins_with_the_most_urgent() -> None:
    low, high = make_task(Status.ASSETS_READY, priority=3), make_task(Status.ASSET_ERROR, priority=1)
    assert list(asking.queue(None)) == [high, low]


# ---------------------------------------------------------------- decided


def test_approve_goes_on_to_the_next_task(operator_client: Client) -> None:
    first, second = make_production(Status.ASSETS_READY), make_production(Status.VIDEO_READY)
    reply = operator_client.post(review_of(first), {"verb": "approve", "seen": review.seen(first)}, follow=True)
    assert reply.redirect_chain == [(f"{review_of(second)}?undo={first.pk}", 302)]
    assert "Assets approved. Composites and Video follow" in reply.content.decode()
    approval = first.approvals.get()
    assert (approval.by, approval.user.get_username()) == ("olga", "olga")


def test_approve_of_the_last_task_stays_and_says_so(operator_client: Client) -> None:
    task = make_production(Status.FINAL_REVIEW)
    reply = operator_client.post(review_of(task), {"verb": "approve", "seen": review.seen(task)}, follow=True)
    assert reply.redirect_chain == [(f"{review_of(task)}?undo={task.pk}", 302)]
    assert "Nothing else waits for you" in reply.content.decode()
    task.refresh_from_db()
    assert task.status == Status.APPROVED


def test_approve_of_something_not_seen_does_nothing(operator_client: Client) -> None:
    task = make_production(Status.ASSETS_READY)
    seen = review.seen(task)
    make_take(task, "image", 2)
    assert "it has changed since you opened it" in send(operator_client, task, "approve", seen=seen)
    assert task.status == Status.ASSETS_READY


def test_approve_twice_names_who_was_first(operator_client: Client) -> None:
    task = make_production(Status.ASSETS_READY)
    seen = review.seen(task)
    decisions.approve(task, by="anna")
    assert "anna has approved this already" in send(operator_client, task, "approve", seen=seen)
    assert task.status == Status.ASSETS_APPROVED


def test_reject_wants_a_reason(operator_client: Client) -> None:
    task = make_production(Status.ASSETS_READY)
    assert "Say why" in send(operator_client, task, "reject", reason="  ")
    assert task.status == Status.ASSETS_READY
    send(operator_client, task, "reject", reason="The hero has three hands")
    assert task.status == Status.ASSET_ERROR
    assert task.changes.last().reason == "The hero has three hands"


def test_redo_of_one_piece_in_new_words(operator_client: Client) -> None:
    task = make_production(Status.ASSETS_READY)
    said = send(operator_client, task, "redo", pieces=["image:2"], **{"words-image:2": "A calmer sea"})
    assert "Making 1 again" in said
    assert task.status == Status.GENERATING_ASSETS
    new = task.takes.live().get()
    assert (new.kind, new.position, new.number) == ("image", 2, 2)
    assert "A calmer sea" in new.prompt


@pytest.mark.parametrize("piece", ["clip:1", "image:99", "image:x", "nonsense", "image:" + "9" * 30])
def test_redo_of_what_is_no_piece_here_is_refused(operator_client: Client, piece: str) -> None:
    task = make_production(Status.ASSETS_READY)
    assert "piece" in send(operator_client, task, "redo", pieces=[piece])
    assert task.status == Status.ASSETS_READY


def test_retry_keeps_what_is_done(operator_client: Client, do: Callable[..., Any]) -> None:
    task = make_production(Status.VIDEO_ERROR, failed="video")
    done, failed = make_stage(task, STAGE["video"])
    Take.objects.filter(pk=failed.pk).update(state=Take.State.FAILED, selected=False)
    do(send, operator_client, task, "retry")
    failed.refresh_from_db()
    done.refresh_from_db()
    assert (failed.state, done.state) == (Take.State.WAITING, Take.State.DONE)


def test_pick_of_an_older_take_stays_on_the_page(operator_client: Client) -> None:
    task = make_production(Status.ASSETS_READY)
    older = task.takes.of("image", 1).get()
    make_take(task, "image", 1)
    reply = operator_client.post(review_of(task), {"verb": "pick", "take": older.pk, "seen": review.seen(task)})
    assert reply["Location"] == review_of(task)
    older.refresh_from_db()
    assert older.selected


def test_pick_of_a_take_of_another_task_is_refused(operator_client: Client) -> None:
    task, other = make_production(Status.ASSETS_READY), make_production(Status.ASSETS_READY)
    foreign = other.takes.of("image", 1).get()
    assert "not one of this task" in send(operator_client, task, "pick", take=foreign.pk)


def test_send_back_and_cancel(operator_client: Client) -> None:
    task = make_production(Status.VIDEO_READY)
    send(operator_client, task, "send_back", stage="composites", reason="wrong layout")
    assert task.status == Status.ASSETS_APPROVED
    send(operator_client, task, "cancel")
    assert task.status == Status.DRAFT


def test_decide_by_get_or_an_unknown_verb_changes_nothing(operator_client: Client) -> None:
    task = make_production(Status.ASSETS_READY)
    operator_client.get(review_of(task), {"verb": "approve", "seen": review.seen(task)})
    assert operator_client.post(review_of(task), {"verb": "publish"}).status_code == 400
    task.refresh_from_db()
    assert task.status == Status.ASSETS_READY


# ---------------------------------------------------------------- who may


def test_view_only_staff_sees_media_and_no_button(looker_client: Client) -> None:
    task = make_production(Status.ASSETS_READY)
    html = looker_client.get(review_of(task)).content.decode()
    assert "/media/take/" in html
    assert 'method="post"' not in html
    assert 'name="pieces"' not in html
    assert looker_client.post(review_of(task), {"verb": "approve", "seen": review.seen(task)}).status_code == 403
    task.refresh_from_db()
    assert task.status == Status.ASSETS_READY


def test_strangers_are_sent_to_the_login(client: Client) -> None:
    task = make_production(Status.ASSETS_READY)
    for name in ("production_task_review", "production_task_progress"):
        assert "/login/" in client.get(reverse(f"admin:{name}", args=[task.pk]))["Location"]


def test_decide_without_a_csrf_token_is_refused() -> None:
    task = make_production(Status.ASSETS_READY)
    client = Client(enforce_csrf_checks=True)
    from tests.factories import make_operator

    client.force_login(make_operator())
    assert client.post(review_of(task), {"verb": "approve", "seen": review.seen(task)}).status_code == 403


# ---------------------------------------------------------------- while the system works


def test_progress_counts_the_pieces_that_are_there(operator_client: Client) -> None:
    task = make_production(Status.GENERATING_VIDEO, clips=3)
    make_take(task, "clip", 1)
    make_take(task, "clip", 2, state=Take.State.WAITING)
    url = reverse("admin:production_task_progress", args=[task.pk])
    before = operator_client.get(url).json()
    assert (before["text"], before["done"], before["total"]) == ("clip 1/3", 1, 3)
    Take.objects.of("clip", 2).filter(task=task).update(state=Take.State.CANCELLED)
    make_take(task, "clip", 2)
    after = operator_client.get(url).json()
    assert after["text"] == "clip 2/3"
    assert after["version"] != before["version"]


def test_progress_begins_with_the_plan(operator_client: Client) -> None:
    task = walk(make_task(), Status.GENERATING_ASSETS)
    make_take(task, "plan", state=Take.State.WAITING)
    url = reverse("admin:production_task_progress", args=[task.pk])
    assert operator_client.get(url).json()["text"] == "plan 0/6"
