"""The plan: six structured calls, each checked before the next is told, and all before money follows them."""

import json
import time
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from channels_app.models import ChannelLimit
from production import decisions, flow, jobs, planning, recipes, review
from production.decisions import DecisionError
from production.errors import Kind, Trouble
from production.models import Take, Task
from production.stages import STAGE, STEP, STEPS, Status
from sandbox.client import SandboxClient
from tests.factories import fresh, make_channel, make_plan_takes, make_staff, make_task
from tests.pages import review_of
from tests.vendor import answering

pytestmark = pytest.mark.django_db
NUMBER = {step.name: step.number for step in STEPS}
ASSETS = [
    {"key": key, "kind": kind, "prompt": "Draw it", "reference": ""}
    for key, kind in [("bee", "character"), ("hive", "environment"), ("comb", "prop")]
]
SHOT = {"layout": "composite", "character": "bee", "environment": "hive", "motion_prompt": "It flies; camera: pan"}
OUTPUTS: dict[str, Any] = {
    "research": {
        "question": "Why?",
        "facts": [{"claim": f"Fact {n}", "source": "A book"} for n in range(5)],
        "surprises": ["Oh"],
        "doubtful": [],
    },
    "story": {"title": "Bees", "story": "Once", "beats": ["One", "Two"], "description": "About", "tags": [*"abc"]},
    "assets": {"assets": ASSETS},
    "shots": {"clips": [SHOT, SHOT | {"layout": "split", "character": "comb"}]},
    "narration": {"narration": ["Words of the first", "Words of the second"]},
    "sounds": {"sounds": ["Hum", "Buzz"]},
}
FACTS = {"clips": 2, "assets": 3}


def planned(**changed: Any) -> Task:
    """A task at work whose plan is written, but nothing else."""
    channel = make_channel(clips_per_video=2, assets_per_video=3, **changed.pop("channel", {}))
    task = make_task(Status.GENERATING_ASSETS, topic="How $bees dance", channel=channel)
    for take in make_plan_takes(task):
        result = changed.get(STEP[take.position].name, OUTPUTS[STEP[take.position].name])
        Take.objects.filter(pk=take.pk).update(result=result)
    return task


def landed(**changed: Any) -> Task:
    task = planned(**changed)
    planning.land(task.takes.get(kind="plan", position=6))
    return fresh(task)


def take(name: str = "research") -> Take:
    """A take of that step, told what the steps before it have settled."""
    found: Take = planned().takes.get(kind="plan", position=NUMBER[name])
    found.result = {}
    return found


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


# ---------------------------------------------------------------- read


@pytest.mark.parametrize("before", ["```", '```json{"facts":', "  "])
def test_read_of_an_answer_that_ends_in_blanks_takes_no_time(before):
    began = time.process_time()
    with pytest.raises(ValueError, match="it is not JSON"):
        planning.read(before + " \n" * 1500 + "x", STEP[1], FACTS, {})
    assert time.process_time() - began < 0.5


# ---------------------------------------------------------------- written


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_write_every_step_with_the_sandbox(vendors: SandboxClient, step):
    found, usd = planning.write(take(step.name), lambda: None)
    assert found.keys() == OUTPUTS[step.name].keys()
    assert usd > 0


def test_write_asks_with_schema_key_facts_and_what_is_settled(settings: Settings):
    settings.GEMINI_API_KEY = "the-key"
    with answering(200, reply("```json\n" + json.dumps(OUTPUTS["shots"]) + "\n```")) as (address, met):
        settings.ADDRESSES = settings.ADDRESSES | {"GEMINI_BASE_URL": address}
        found, usd = planning.write(take("shots"), lambda: None)
    asked = met[0].json()
    assert found == OUTPUTS["shots"]
    assert usd == Decimal("0.0065")  # 1,000 tokens at 0.50 and 2,000 at 3.00 USD a million
    assert met[0].headers["x-goog-api-key"] == "the-key"
    clip = asked["generationConfig"]["responseJsonSchema"]["properties"]["clips"]["items"]["properties"]
    assert clip["character"]["enum"] == clip["environment"]["enum"] == ["bee", "hive", "comb"]
    text = asked["contents"][0]["parts"][0]["text"]
    assert "How $bees dance" in text
    assert "action first and the camera last" in text
    assert '"beats"' in text
    assert '"claim"' not in text


def test_write_takes_a_channels_own_sop_before_the_common_one(settings: Settings, tmp_path):
    settings.PROMPTS_DIR = tmp_path
    with pytest.raises(Trouble, match=r"research\.md is missing"):
        planning.instructions(STEP[1], TASK, {}, "bees")
    (tmp_path / "bees").mkdir()
    (tmp_path / "research.md").write_text("Common for $clips")
    (tmp_path / "bees/research.md").write_text("Own for $clips")
    assert "Common for 2" in planning.instructions(STEP[1], TASK, {}, "wasps")
    assert "Own for 2" in planning.instructions(STEP[1], TASK, {}, "bees")


TASK = FACTS | {"title": "", "topic": "Bees", "story_direction": "", "style": "", "language": "en"}


@pytest.mark.parametrize("kind", ["bad_text", "cut_text"])
def test_write_sends_an_unusable_answer_back_once(vendors: SandboxClient, at_once, kind):
    task = make_task(Status.GENERATING_ASSETS)
    vendors.plan_fault("gemini", kind, times=1, body='{"facts": 5}')
    flow.advance_by_id(task.pk)
    for _ in range(2):
        jobs.work("planning")
    first = task.takes.get(kind="plan", position=1)
    assert first.state == Take.State.DONE, first.error
    assert [line.actual_usd > 0 for line in first.ledger.all()] == [True, True]
    assert "can't be used" in " ".join(task.changes.values_list("reason", flat=True))


def test_write_that_is_unusable_twice_is_for_a_person(vendors: SandboxClient, at_once):
    task = make_task(Status.GENERATING_ASSETS)
    vendors.plan_fault("gemini", "bad_text", times=2, body="no JSON")
    flow.advance_by_id(task.pk)
    for _ in range(2):
        jobs.work("planning")
    first = task.takes.get(kind="plan", position=1)
    assert (first.state, first.attempt, first.result) == (Take.State.FAILED, 2, {})
    assert "sent back once already" in first.error
    assert fresh(task).status == Status.ASSET_ERROR


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
        (200, reply("[" * 100_000), Kind.TRANSIENT),
        (200, reply("no JSON at all"), Kind.TRANSIENT),
        (200, reply("[]"), Kind.TRANSIENT),
    ],
)
def test_write_trouble(settings: Settings, status, body, kind):
    with pytest.raises(Trouble) as trouble:
        write(settings, status, body)
    assert trouble.value.kind == kind
    assert 0 < len(trouble.value.message) <= 500


def test_write_whose_refusal_quotes_the_key_does_not_tell_it(settings: Settings):
    settings.GEMINI_API_KEY = "the-very-key"
    with pytest.raises(Trouble, match=r"the key \*\*\* is not valid") as trouble:
        write(settings, 400, b"the key the-very-key is not valid")
    assert "the-very-key" not in trouble.value.message


def test_write_books_what_a_useless_answer_cost(settings: Settings):
    for body in (reply("no JSON at all"), reply("", "SAFETY")):
        with pytest.raises(Trouble) as trouble:
            write(settings, 200, body)
        assert trouble.value.usd == Decimal("0.0065")


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
    assert write(settings, 200, reply(json.dumps(OUTPUTS["research"]), usageMetadata=usage))[1] == Decimal("0.0065")


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


def changed(name: str, *path: Any, to: Any) -> dict:
    found = json.loads(json.dumps(OUTPUTS[name]))
    place = found
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = to
    return found


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("assets", changed("assets", "assets", 2, "key", to="bee"), "two images have the key “bee”"),
        ("assets", changed("assets", "assets", 0, "reference", to="comb"), "“bee” refers to “comb”, which does not"),
        ("shots", changed("shots", "clips", 1, "environment", to=""), "clip 2 is split and has only one image"),
        ("assets", changed("assets", "assets", 0, "key", to="../../etc"), r"key is “../../etc”, not a pattern"),
        ("shots", changed("shots", "clips", 1, "character", to="wasp"), "character is “wasp”, which is none of bee"),
        ("shots", changed("shots", "clips", to=[SHOT]), "clips has 1 entries, at least 2 are wanted"),
        ("narration", changed("narration", "narration", 0, to=""), "has 0 characters, at least 1"),
        ("narration", changed("narration", "narration", 0, to="x" * 2001), "has 2001 characters, at most 2000"),
        ("story", OUTPUTS["story"] | {"extra": 1}, "extra"),
        ("story", {}, "required"),
        ("story", "text", "is “text”, not a type of object"),
    ],
)
def test_check_names_the_fault(name, bad, message):
    with pytest.raises(ValueError, match=message):
        planning.check(bad, STEP[NUMBER[name]], FACTS, OUTPUTS)


# ---------------------------------------------------------------- landed


def test_land_makes_rows():
    task = landed(assets=changed("assets", "assets", 2, "reference", to="bee"))
    assert (task.story, task.description, task.tags) == ("Once", "About", ["a", "b", "c"])
    assert [str(asset) for asset in task.assets.all()] == ["bee", "hive", "comb"]
    assert task.assets.get(key="comb").reference.key == "bee"
    first, second = task.clips.all()
    assert (first.narration, second.sound_prompt, second.layout) == ("Words of the first", "Buzz", "split")
    assert (first.character.key, first.environment.key) == ("bee", "hive")


def test_land_waits_until_the_steps_fit_together():
    assert not landed(narration={"narration": ["Only one"]}).clips.exists()


def test_nothing_is_drawn_before_the_plan_is_whole():
    task = landed()
    task.takes.filter(kind="plan", position=6).update(selected=False)
    assert not any(need.recipe for need in recipes.needs(task, STAGE["assets"]) if need.piece.kind == "image")


# ---------------------------------------------------------------- looked at and rewritten


def at_plan_stop(**words: Any) -> Task:
    task = landed(channel={"gates": ["plan"]}, **words)
    flow.advance_by_id(task.pk)
    return fresh(task)


def test_plan_gate_stops_before_images_and_a_yes_draws_them(at_once):
    task = at_plan_stop()
    assert (task.status, task.takes.filter(kind="image").count()) == (Status.ASSETS_READY, 0)
    assert review.read(task).commitment.names.startswith("Assets")
    decisions.approve(task, by="Ada")
    flow.start_waiting(task.channel_id)
    assert fresh(task).status == Status.GENERATING_ASSETS
    assert task.takes.filter(kind="image").count() == 3


def test_rewrite_changes_rows_and_voids_the_yes():
    task = at_plan_stop()
    before = recipes.plan_hash(task)
    decisions.rewrite(task, NUMBER["narration"], "narration:\n- New words\n- And more", by="Ada")
    assert [clip.narration for clip in task.clips.all()] == ["New words", "And more"]
    assert recipes.plan_hash(task) != before
    assert task.changes.last().by == "Ada"


@pytest.mark.parametrize("text", ["narration: [one]", "- x", "a: &a [x]\nb: *a", "{", "narration: 2026-01-01"])
def test_rewrite_refuses_what_makes_no_plan_in_words(text):
    task = at_plan_stop()
    with pytest.raises(DecisionError):
        decisions.rewrite(task, NUMBER["narration"], text, by="Ada")
    assert task.clips.first().narration == "Words of the first"


def test_page_shows_findings_and_rewrites(operator_client: Client):
    task = at_plan_stop(narration={"narration": ["word " * 40, "Words"]})
    page = operator_client.get(review_of(task)).content.decode()
    assert "about 16 s of speech" in page
    words = {"seen": review.seen(task), "verb": "rewrite", "step": 5, "text": "narration: [Short, Words]"}
    operator_client.post(review_of(task), words)
    assert not [finding for finding in fresh(task).findings if "speech" in finding["message"]]


@pytest.mark.parametrize("bomb", ["[" * 50_000, "- " * 30_000, "{a: " * 20_000, "? " * 40_000])
def test_rewrite_of_a_bomb_is_refused_at_once(bomb: str):
    with pytest.raises(DecisionError, match="nested too deeply"):
        decisions.rewrite(at_plan_stop(), NUMBER["narration"], bomb, by="Ada")


def rewriting(client: Client, task: Task, seen: str, text: str, step: int = 5):
    return client.post(review_of(task), {"seen": seen, "verb": "rewrite", "step": step, "text": text})


def test_page_gives_back_what_somebody_has_written_while_another_was_faster(operator_client: Client):
    task = at_plan_stop()
    seen = review.seen(task)
    rewriting(operator_client, task, seen, "narration: [First one's, Words]")
    reply = rewriting(operator_client, task, seen, "narration: [Second one's, Words]")
    page = reply.content.decode()
    assert reply.status_code == 200
    assert "it has changed since you opened it" in page
    assert page.index("First one&#x27;s") < page.index("narration: [Second one&#x27;s, Words]")
    now = reply.context["page"].seen
    assert rewriting(operator_client, task, now, "narration: [Second one's, Words]").status_code == 302
    assert task.clips.first().narration == "Second one's"


@pytest.mark.parametrize(
    ("text", "step"), [("narration: [one]", 5), ("{", 5), ("</textarea>x", 99), ("z" * 100_001, 1)]
)
def test_page_gives_back_what_makes_no_plan(operator_client: Client, text, step):
    task = at_plan_stop()
    reply = rewriting(operator_client, task, review.seen(task), text, step)
    assert reply.context["unsaved"].texts[0].text == text
    assert "</textarea>x" not in reply.content.decode()


def test_lint_names_order_risk_and_what_no_clip_uses():
    shots = {"clips": [SHOT | {"motion_prompt": "Camera pans; it flies"}, SHOT | {"motion_prompt": "Blood drips"}]}
    found = {(finding["where"], finding["message"].split(":")[0]) for finding in landed(shots=shots).findings}
    assert ("clip 1, motion", "names the camera before the action") in found
    assert ("clip 2, motion", "names no camera move") in found
    assert ("clip 2, motion", "may be refused by moderation for") in found
    assert ("image comb", "is used by no clip, and paid all the same") in found


def test_sameness_of_a_sisters_video_stops_and_a_yes_overrules(settings: Settings, at_once):
    settings.ADDRESSES = settings.ADDRESSES | {"GEMINI_BASE_URL": settings.OWN_ADDRESSES["GEMINI_BASE_URL"]}
    sister = landed()
    landed(channel={"family": "others"})
    task = landed()
    (finding,) = [finding for finding in task.findings if finding["stops"]]
    assert "narration 100%" in finding["message"]
    assert finding["like"] == sister.pk
    flow.advance_by_id(task.pk)
    assert fresh(task).status == Status.ASSETS_READY
    decisions.approve(task, by="Ada")
    assert "overruling" in task.changes.last().reason
    assert not landed(channel={"most_similarity": 0}).findings


def test_sameness_names_a_sisters_video_to_nobody_who_may_not_see_it(settings: Settings, operator_client: Client):
    settings.ADDRESSES = settings.ADDRESSES | {"GEMINI_BASE_URL": settings.OWN_ADDRESSES["GEMINI_BASE_URL"]}
    sister = landed(channel={"name": "Secret channel"})
    Task.objects.filter(pk=sister.pk).update(title="Secret bees")
    task = at_plan_stop()
    limited = Client()
    limited.force_login(make_staff("view_task", "change_task"))
    ChannelLimit.objects.create(user=User.objects.get(username__startswith="staff")).channels.set([task.channel])
    assert "is like a video of a sister channel" in limited.get(review_of(task)).content.decode()
    assert "Secret" not in limited.get(review_of(task)).content.decode()
    assert "Secret bees, Secret channel" in operator_client.get(review_of(task)).content.decode()
    decisions.approve(task, by="Ada")
    assert "Secret" not in task.changes.last().reason


def test_findings_of_before_lose_the_names_that_they_told_everybody():
    task, other = landed(), {"where": "clip 1, motion", "message": "is empty", "stops": True}
    named = {
        "where": "plan",
        "message": "is like “A: “b”” of Sister: 2: title 80%, narration 100% the same",
        "stops": True,
    }
    Task.objects.filter(pk=task.pk).update(findings=[named, other])
    import_module("production.migrations.0019_name_no_sisters_video").forget_names(apps, None)
    first, second = fresh(task).findings
    assert first["message"] == "is like another video: title 80%, narration 100% the same"
    assert (first["stops"], second) == (True, other)


def test_sameness_names_a_video_of_the_same_channel(settings: Settings):
    settings.ADDRESSES = settings.ADDRESSES | {"GEMINI_BASE_URL": settings.OWN_ADDRESSES["GEMINI_BASE_URL"]}
    former, task = landed(), planned()
    Task.objects.filter(pk=former.pk).update(channel=task.channel)
    planning.land(task.takes.get(kind="plan", position=6))
    assert f"is like “{former}”" in next(f for f in fresh(task).findings if f["stops"])["message"]
