"""Words of a decision that was refused: nobody has to think of them a second time."""

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from production import decisions, handling, review
from production.models import Task
from production.stages import Status
from tests.factories import fresh, make_production
from tests.pages import review_of

pytestmark = pytest.mark.django_db


def send_late(client: Client, task: Task, **words: Any) -> Any:
    """What the page answers a decision made while anna approved."""
    seen = review.seen(task)
    decisions.approve(task, by="anna")
    return client.post(review_of(task), {"seen": seen} | words)


def given(reply: HttpResponse) -> list[tuple[str, str]]:
    return [(words.title, words.text) for words in reply.context["unsaved"].texts]  # type: ignore[attr-defined]


def test_redo_that_is_refused_gives_back_its_prompts_and_its_reason(operator_client: Client) -> None:
    task = make_production(Status.VIDEO_READY, clips=2)
    kept = task.clips.get(number=2).motion_prompt
    words = {"words-clip:1": "The bear </textarea>\r\nturns", "words-clip:2": kept, "reason": "It stands still"}
    reply = send_late(operator_client, task, verb="redo", pieces=["clip:1", "clip:2"], **words)
    assert given(reply) == [("Clip 1, in these words", words["words-clip:1"]), ("Why", "It stands still")]
    page = reply.content.decode()
    assert "it has changed since you opened it" in page
    assert "The bear &lt;/textarea&gt;" in page


def test_redo_of_images_gives_back_their_prompts_by_name(operator_client: Client) -> None:
    task = make_production(Status.ASSETS_READY)
    asset = task.assets.get(number=1)
    reply = send_late(operator_client, task, verb="redo", pieces=["image:1"], **{"words-image:1": "Amber light"})
    assert given(reply) == [(f"{asset.key}, in these words".replace("-", " "), "Amber light")]


def test_reject_that_is_refused_gives_back_its_reason(operator_client: Client) -> None:
    reply = send_late(operator_client, make_production(Status.VIDEO_READY), verb="reject", reason="She slides")
    assert given(reply) == [("Why", "She slides")]


@pytest.mark.parametrize("words", [{"verb": "reject"}, {"verb": "redo", "pieces": "clip:1"}, {"verb": "retry"}])
def test_refusal_of_what_has_no_words_leads_back(operator_client: Client, words: dict[str, str]) -> None:
    task = make_production(Status.VIDEO_READY)
    assert send_late(operator_client, task, **words)["Location"] == review_of(task)


@pytest.mark.parametrize("key", ["plan:99", "nothing:1", "clip:" + "9" * 30, "clip:x", "film:0", ""])
def test_words_for_what_is_no_piece_give_no_fault(operator_client: Client, key: str) -> None:
    task = make_production(Status.VIDEO_READY)
    reply = send_late(operator_client, task, verb="redo", pieces=[key], reason="y", **{f"words-{key}": "x"})
    assert given(reply)[-1] == ("Why", "y")


def test_words_to_publish_that_came_after_the_yes_are_given_back(operator_client: Client) -> None:
    task = make_production(Status.FINAL_REVIEW)
    words = {"title": task.title, "description": "Long\r\nthought over", "tags": "ice, lake", "privacy": "unlisted"}
    reply = send_late(operator_client, task, verb="edit", synthetic_media="unknown", **words)
    assert reply.context["words"] is None
    told = [("Description", words["description"]), ("Tags", "ice, lake"), ("Privacy", "unlisted")]
    assert given(reply) == told
    assert "thought over</textarea>" in reply.content.decode()


@pytest.mark.parametrize("page", ["review", "change"])
def test_lines_are_stored_as_they_came_and_changed_by_nobody_else(operator_client: Client, page: str) -> None:
    task = make_production(Status.FINAL_REVIEW)
    handling.edit(task, {"description": "Two\nlines"}, by="olga")
    task = fresh(task)
    words = {"title": "Ice", "description": "Two\r\nlines", "tags": "", "privacy": "", "priority": task.priority}
    bound = {"verb": "edit", "seen": review.seen(task), "synthetic_media": "unknown"} if page == "review" else {}
    operator_client.post(reverse(f"admin:production_task_{page}", args=[task.pk]), words | bound)
    assert (fresh(task).title, fresh(task).description) == ("Ice", "Two\nlines")
    assert task.changes.latest("id").reason == "Title changed"


def test_words_to_publish_that_can_still_be_sent_stay_in_their_form_alone(operator_client: Client) -> None:
    task = make_production(Status.FINAL_REVIEW)
    words = {"verb": "edit", "title": "", "description": "Mine", "synthetic_media": "unknown"}
    reply = operator_client.post(review_of(task), {"seen": review.seen(task)} | words)
    assert reply.context["words"]["description"].value() == "Mine"
    assert reply.context["unsaved"] is None
