"""What a browser may send that no page of ours would: none of it breaks anything, and none of it does anything."""

import pytest
from django.test import Client
from django.urls import reverse

from production import review
from production.models import Task
from production.stages import Status
from tests.factories import fresh, make_channel, make_production, make_take
from tests.pages import review_of

pytestmark = pytest.mark.django_db
HUGE = "9" * 5000  # more digits than Python makes a number of
NUL = "\x00"
HOSTILE = "<script>alert(1)</script> & \u202e‮ \" ' {{ settings.SECRET_KEY }}"


def post(client: Client, task: Task, **words: object) -> str:
    """What the page says after it; 200 or the test fails."""
    reply = client.post(review_of(task), {"seen": review.seen(task)} | words, follow=True)
    assert reply.status_code == 200, words
    return reply.content.decode()


@pytest.mark.parametrize(
    "words",
    [
        {"verb": "pick", "take": HUGE},
        {"verb": "pick", "take": "٣"},
        {"verb": "rewrite", "step": HUGE, "text": "a: b"},
        {"verb": "rewrite", "step": "1", "text": f"a: {NUL}"},
        {"verb": "redo", "pieces": f"image:{HUGE}"},
        {"verb": "redo", "pieces": f"im{NUL}age:1"},
        {"verb": "redo", "pieces": ["clip:1", "film:0", "upload:0"]},
        {"verb": "approve", "seen": f"assets_ready:{NUL}:0.84"},
        {"verb": "approve", "seen": f"assets_ready:{'f' * 10_000}:"},
        {"verb": "approve", "seen": ""},
        {"verb": "priority", "priority": HUGE},
        {"verb": "send_back", "stage": NUL},
        {"verb": "edit", "publish_at": "0001-01-01T00:00:00Z", "title": NUL, "thumbnail": HUGE},
        {"verb": "reject", "reason": NUL, "codes": [NUL, HUGE]},
        {"verb": "undo"},
    ],
)
def test_nonsense_is_refused_in_words(operator_client: Client, words: dict[str, object]) -> None:
    task = make_production(Status.ASSETS_READY)
    assert 'class="toast error"' in post(operator_client, task, **words)
    assert fresh(task).status == Status.ASSETS_READY


@pytest.mark.parametrize(
    "words",
    [
        {"title": NUL, "tags": f"a,{NUL}", "thumbnail": HUGE, "publish_at": "0001-01-01T00:00:00Z"},
        {"title": "T" * 101, "tags": "," * 10_000, "thumbnail": NUL, "publish_at": HUGE, "synthetic_media": HUGE},
        {"title": HOSTILE, "description": "ü" * 2501, "privacy": "everybody", "publish_at": HOSTILE},
        {},
    ],
)
def test_words_that_are_nonsense_come_back_as_words(operator_client: Client, words: dict[str, object]) -> None:
    task = make_production(Status.FINAL_REVIEW, title="Ice")
    html = post(operator_client, task, verb="edit", **words)
    assert 'class="toast error"' in html
    assert "<script>alert" not in html
    assert fresh(task).title == "Ice"


@pytest.mark.parametrize(
    "path",
    [
        "task/board/?by=%00&channel=%00&priority=%00&who=%00",
        f"task/board/?channel={HUGE}&priority={HUGE}",
        "task/board/columns/?by=%00",
        f"task/?p={10**18}",
        f"task/?who=%00&q=%00&p={10**18}",
        "take/?q=%00",
    ],
)
def test_nonsense_in_an_address_opens_the_page(operator_client: Client, path: str) -> None:
    assert operator_client.get(f"/admin/production/{path}", follow=True).status_code == 200


@pytest.mark.parametrize("query", ["stage=%00", f"undo={HUGE}", "undo=٣", "undo=%00", f"stage={HUGE}"])
def test_nonsense_after_the_address_of_a_review_opens_it(operator_client: Client, query: str) -> None:
    task = make_production(Status.ASSETS_READY)
    assert operator_client.get(f"{review_of(task)}?{query}").status_code == 200
    assert operator_client.get(f"{reverse('admin:production_task_change', args=[task.pk])}?{query}").status_code in (
        200,
        302,
    )


@pytest.mark.parametrize("number", [10**12, 10**30])
def test_numbers_of_nothing_are_not_found(operator_client: Client, number: int) -> None:
    task = make_production(Status.VIDEO_READY)
    takes = reverse("admin:production_task_takes", args=[task.pk, "clip", 1]).replace("/1/", f"/{number}/")
    for url in (f"/admin/production/task/{number}/review/", f"/media/take/{number}", takes):
        assert operator_client.get(url).status_code == 404, url


def test_hostile_words_are_words_on_every_page(operator_client: Client) -> None:
    channel = make_channel(name=HOSTILE[:60])
    task = make_production(Status.VIDEO_READY, channel=channel, title=HOSTILE, topic=HOSTILE)
    make_take(task, "clip", 1, prompt=HOSTILE)
    post(operator_client, task, verb="pause", reason=HOSTILE)
    post(operator_client, task, verb="reject", reason=HOSTILE)
    index, board = reverse("admin:index"), reverse("admin:production_task_board")
    change = reverse("admin:production_task_change", args=[task.pk])
    takes = reverse("admin:production_task_takes", args=[task.pk, "clip", 1])
    for url in (index, board, change, takes, review_of(task), reverse("admin:production_statuschange_changelist")):
        html = operator_client.get(url).content.decode()
        assert "&lt;script&gt;alert(1)" in html, url
        assert "<script>alert" not in html, url
