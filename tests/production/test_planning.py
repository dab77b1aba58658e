"""The plan: one structured call, checked before any money follows it."""

import json
from decimal import Decimal

import pytest
from pytest_django import Settings

from production import planning, recipes
from production.errors import Kind, Trouble
from production.models import Take, Task
from production.stages import STAGE, Status
from sandbox.client import SandboxClient
from tests.factories import make_channel, make_plan, make_take, make_task
from tests.vendor import answering

pytestmark = pytest.mark.django_db
FACTS = {"title": "Bees", "topic": "How $bees dance", "clips": 2, "assets": 3, "language": "en", "style": ""}


def plan(**words: object) -> dict:
    assets = [
        {"key": key, "kind": kind, "prompt": "Draw it", "reference": ""}
        for key, kind in [("bee", "character"), ("hive", "environment"), ("comb", "prop")]
    ]
    clip = {"narration": "Words", "motion_prompt": "Go", "sound_prompt": "Hum", "layout": "composite"}
    clip |= {"character": "bee", "environment": "hive"}
    facts = {"title": "Bees", "story": "Once", "description": "About", "tags": ["a", "b", "c"]}
    return facts | {"assets": assets, "clips": [clip, clip | {"layout": "split"}]} | words


def take(**facts: object) -> Take:
    recipe = recipes.Recipe("plan", facts=FACTS | facts)
    return make_take(make_task(Status.GENERATING_ASSETS), "plan", state=Take.State.WAITING, recipe=recipe)


def reply(text: str, reason: str = "STOP", **words: object) -> bytes:
    candidate = {"content": {"parts": [{"text": "hm", "thought": True}, {"text": text}]}, "finishReason": reason}
    usage = {"promptTokenCount": 1000, "candidatesTokenCount": 2000}
    return json.dumps({"candidates": [candidate], "usageMetadata": usage} | words).encode()


def write(settings: Settings, status: int, body: bytes, **headers: str) -> tuple[dict, Decimal | None]:
    with answering(status, body, **headers) as (address, met):
        settings.ADDRESSES = settings.ADDRESSES | {"GEMINI_BASE_URL": address}
        try:
            return planning.write(take(), lambda: None)
        finally:
            assert len(met) == 1, "whether it is asked again is decided by its take"


# ---------------------------------------------------------------- written


def test_write_with_the_sandbox(vendors: SandboxClient):
    found, usd = planning.write(take(), lambda: None)
    assert (len(found["clips"]), len(found["assets"])) == (2, 3)
    assert usd > 0


def test_write_asks_with_schema_key_and_facts(settings: Settings):
    settings.GEMINI_API_KEY = "the-key"
    with answering(200, reply(json.dumps(plan()))) as (address, met):
        settings.ADDRESSES = settings.ADDRESSES | {"GEMINI_BASE_URL": address}
        found, usd = planning.write(take(), lambda: None)
    asked = met[0].json()
    assert found == plan()
    assert usd == Decimal("0.0053")  # 1,000 tokens at 0.30 and 2,000 at 2.50 USD a million
    assert met[0].headers["x-goog-api-key"] == "the-key"
    assert asked["generationConfig"]["responseJsonSchema"] == planning.schema(2, 3)
    assert "How $bees dance" in asked["contents"][0]["parts"][0]["text"]
    assert "$topic" not in asked["contents"][0]["parts"][0]["text"]


# ---------------------------------------------------------------- not to be had


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, b'{"quotaId": "RequestsPerDay"}', Kind.QUOTA),
        (429, b'{"quotaId": "RequestsPerMinute"}', Kind.TRANSIENT),
        (503, b"", Kind.TRANSIENT),
        (400, b'{"error": {"message": "bad key"}}', Kind.PERMANENT),
        (200, b"<html>", Kind.UNKNOWN),
        (200, b"x" * 2_000_001, Kind.UNKNOWN),
        (200, b"[]", Kind.UNKNOWN),
        (200, b"{}", Kind.REFUSED),
        (200, b'{"promptFeedback": {"blockReason": "SAFETY"}}', Kind.REFUSED),
        (200, reply("", "SAFETY"), Kind.REFUSED),
        (200, reply("{", "MAX_TOKENS"), Kind.TRANSIENT),
        (200, reply("no JSON at all"), Kind.TRANSIENT),
        (200, reply("[]"), Kind.TRANSIENT),
    ],
)
def test_write_trouble(settings: Settings, status, body, kind):
    with pytest.raises(Trouble) as trouble:
        write(settings, status, body)
    assert trouble.value.kind == kind
    assert 0 < len(trouble.value.message) <= 500


def test_write_books_what_a_useless_answer_cost(settings: Settings):
    for body in (reply("no JSON at all"), reply("", "SAFETY")):
        with pytest.raises(Trouble) as trouble:
            write(settings, 200, body)
        assert trouble.value.usd == Decimal("0.0053")


@pytest.mark.parametrize(
    "body",
    [
        b'{"candidates": [null]}',
        b'{"candidates": {}}',
        b'{"candidates": [{"content": []}]}',
        b'{"candidates": [5]}',
        b'{"candidates": [{"content": {"parts": [null, 5, {"text": 7}]}}]}',
        reply("x", usageMetadata=[]),
        reply("x", usageMetadata={"promptTokenCount": "many"}),
        reply("x", promptFeedback=7),
    ],
)
def test_write_of_odd_shapes_is_trouble_and_no_crash(settings: Settings, body):
    with pytest.raises(Trouble):
        write(settings, 200, body)


def test_write_where_nobody_listens_bought_nothing(settings: Settings, dead_address: str):
    settings.ADDRESSES = settings.ADDRESSES | {"GEMINI_BASE_URL": dead_address}
    with pytest.raises(Trouble) as trouble:
        planning.write(take(), lambda: None)
    assert trouble.value.kind == Kind.TRANSIENT


def test_write_to_a_name_that_leads_nowhere_bought_nothing(settings: Settings):
    settings.ADDRESSES = settings.ADDRESSES | {"GEMINI_BASE_URL": "http://no-such-host.invalid"}
    with pytest.raises(Trouble) as trouble:
        planning.write(take(), lambda: None)
    assert trouble.value.kind == Kind.TRANSIENT


def test_write_counts_what_the_model_thought(settings: Settings):
    usage = {"promptTokenCount": 1000, "candidatesTokenCount": 500, "thoughtsTokenCount": 1500}
    assert write(settings, 200, reply(json.dumps(plan()), usageMetadata=usage))[1] == Decimal("0.0053")


def test_write_whose_reply_is_lost_may_have_been_paid(vendors: SandboxClient):
    vendors.plan_fault("gemini", "lost_reply")
    with pytest.raises(Trouble) as trouble:
        planning.write(take(), lambda: None)
    assert trouble.value.kind == Kind.UNKNOWN


def test_write_over_the_daily_quota(vendors: SandboxClient):
    vendors.plan_fault("gemini", "quota", daily=True)
    with pytest.raises(Trouble) as trouble:
        planning.write(take(), lambda: None)
    assert trouble.value.kind == Kind.QUOTA


# ---------------------------------------------------------------- checked


def changed(part: str, number: int, **words: str) -> dict:
    found = json.loads(json.dumps(plan()))
    found[part][number] |= words
    return found


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (changed("assets", 1, key="bee"), "two images have the same key"),
        (changed("assets", 0, reference="comb"), "“bee” refers to “comb”, which does not come before it"),
        (changed("assets", 0, reference="bee"), "does not come before it"),
        (changed("clips", 1, character="wasp"), "clip 2 uses “wasp”, which no image has as its key"),
        (changed("clips", 0, character=""), "clip 1 uses “”"),
        (changed("clips", 0, layout="split", environment=""), "clip 1 is split and has only one image"),
        (changed("assets", 0, key="../../etc"), r"\$\.assets\[0\]\.key"),
        (changed("clips", 0, layout="circle"), r"\$\.clips\[0\]\.layout"),
        (changed("clips", 0, narration=""), r"\$\.clips\[0\]\.narration"),
        (plan(clips=[]), r"\$\.clips"),
        (plan(extra=1), "extra"),
        ({}, "required"),
        ("text", "not of type 'object'"),
    ],
)
def test_check_names_the_fault(bad, message):
    with pytest.raises(ValueError, match=message):
        planning.check(bad, 2, 3)


def test_check_takes_a_reference_to_an_earlier_image():
    planning.check(changed("assets", 2, reference="bee"), 2, 3)


# ---------------------------------------------------------------- landed


def landed(plan_: dict, **words: object) -> Task:
    task = make_task(Status.GENERATING_ASSETS, **words)
    planning.land(make_take(task, "plan", result=plan_))
    task.refresh_from_db()
    return task


def test_land_makes_rows():
    task = landed(changed("assets", 2, reference="bee"), title="")
    assert (task.title, task.story, task.description, task.tags) == ("Bees", "Once", "About", ["a", "b", "c"])
    assert [str(asset) for asset in task.assets.all()] == ["bee", "hive", "comb"]
    assert task.assets.get(key="comb").reference.key == "bee"
    first, second = task.clips.all()
    assert (str(first), first.layout, second.layout) == ("Clip 1", "composite", "split")
    assert (first.character.key, first.environment.key) == ("bee", "hive")


def test_land_keeps_the_creators_title():
    assert landed(plan(), title="My own").title == "My own"


def test_land_again_replaces_the_rows():
    task = make_task(Status.GENERATING_ASSETS)
    make_plan(task, clips=5, assets=7)
    planning.land(make_take(task, "plan", result=plan()))
    assert (task.clips.count(), task.assets.count()) == (2, 3)


def test_plan_of_a_channel_asks_for_its_numbers():
    task = make_task(Status.GENERATING_ASSETS, channel=make_channel(clips_per_video=7, assets_per_video=9, style="Ink"))
    (need,) = recipes.needs(task, STAGE["assets"])
    facts = need.recipe.as_json()["facts"]
    assert (facts["clips"], facts["assets"], facts["style"]) == (7, 9, "Ink")
