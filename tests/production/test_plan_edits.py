"""A plan under strain: hostile answers, steps made again or rewritten out of order, two people, imports."""

import json
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest
import requests
from django.test import Client
from pytest_django import Settings

from channels_app.models import Token
from production import decisions, dispatch, flow, gates, jobs, planning, recipes, review
from production.answers import schema
from production.decisions import DecisionError
from production.errors import Kind, Trouble
from production.models import Take, Task
from production.stages import STAGES, STEP, STEPS, Status, followers
from sandbox.client import SandboxClient
from tests.factories import fresh, make_channel, make_production, make_stage, make_take
from tests.pages import review_of
from tests.production.test_planning import (
    ASSETS,
    FACTS,
    NUMBER,
    OUTPUTS,
    SHOT,
    at_plan_stop,
    changed,
    landed,
    planned,
    reply,
    take,
)
from tests.vendor import Vendor

pytestmark = pytest.mark.django_db
VARIANT = changed("assets", "assets", 2, "reference", to="bee")


@pytest.fixture
def model(settings: Settings) -> Iterator[Vendor]:
    """The text model, which says what the test dictates."""
    with closing(Vendor()) as vendor:
        settings.ADDRESSES = settings.ADDRESSES | {"GEMINI_BASE_URL": vendor.url}
        yield vendor


def at_images_gate(**words: Any) -> Task:
    """Everything of the plan is drawn and waits for its yes."""
    task = landed(**words)
    make_stage(task, STAGES[0])
    return walk_on(task)


def walk_on(task: Task) -> Task:
    flow.advance_by_id(task.pk)
    return fresh(task)


def imported(task: Task) -> Task:
    """As if an operator had brought the plan along: it is their word, and nobody has researched it."""
    task.takes.filter(kind="plan").update(overruled_by="import")
    task.takes.filter(kind="plan", position=1).update(result=OUTPUTS["research"] | {"facts": [], "surprises": []})
    return task


def rewrite(task: Task, step: str, output: Any, by: str = "Ada") -> Task:
    decisions.rewrite(task, NUMBER[step], json.dumps(output), by=by)
    return fresh(task)


# ---------------------------------------------------------------- what the model is asked and answers


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_schema_has_no_empty_word_in_an_enum(step: Any) -> None:
    """Gemini refuses the whole request for one."""
    assert '""' not in json.dumps(schema(step, FACTS, OUTPUTS))


def test_sandbox_is_as_strict_about_enums(vendors: SandboxClient, settings: Settings) -> None:
    body = {
        "contents": [{"parts": [{"text": "x"}]}],
        "generationConfig": {"responseJsonSchema": {"type": "string", "enum": ["a", ""]}},
    }
    url = f"{settings.ADDRESSES['GEMINI_BASE_URL']}/v1beta/models/gemini-3.5-flash:generateContent"
    answer = requests.post(url, json=body, headers={"x-goog-api-key": settings.GEMINI_API_KEY}, timeout=10)
    assert answer.status_code == 400
    assert "enum[1]: cannot be empty" in answer.json()["error"]["message"]


def test_write_with_the_channels_own_key(model: Vendor) -> None:
    model.say("/", reply(json.dumps(OUTPUTS["research"])))
    step = take()
    Token.objects.create(channel=step.channel, name="GEMINI_API_KEY", value="of-the-bees")
    planning.write(step, lambda: None)
    assert model.calls[0].headers["x-goog-api-key"] == "of-the-bees"


def test_write_asks_less_strictly_where_the_schema_is_too_complex(model: Vendor) -> None:
    model.say(
        "/", {"error": {"message": "The schema produces a constraint that has too many states for serving."}}, 400
    )
    model.say("/", reply(json.dumps(OUTPUTS["shots"])))
    found, _ = planning.write(take("shots"), lambda: None)
    first, second = (call.json()["generationConfig"]["responseJsonSchema"] for call in model.calls)
    assert found == OUTPUTS["shots"]
    assert "minItems" in json.dumps(first)
    assert not {"minItems", "maxItems", "maxLength"} & set(json.dumps(second).split('"'))
    assert '"enum": ["bee", "hive", "comb"]' in json.dumps(second)


def test_write_that_is_too_complex_either_way_is_for_a_person(model: Vendor) -> None:
    model.say("/", b"too many states", 400)
    with pytest.raises(Exception, match="too many states") as trouble:
        planning.write(take(), lambda: None)
    assert isinstance(trouble.value, Trouble)
    assert trouble.value.kind == Kind.PERMANENT


def test_write_follows_no_redirect_with_the_key(model: Vendor) -> None:
    model.say("/", b"", 307, {"Location": f"{model.url}/elsewhere"})
    with pytest.raises(Trouble, match="answered 307"):
        planning.write(take(), lambda: None)
    assert len(model.calls) == 1


@pytest.mark.parametrize("tokens", [10**300, -5_000_000, 10**15])
def test_write_believes_no_impossible_bill(model: Vendor, tokens: int) -> None:
    usage = {"promptTokenCount": tokens, "candidatesTokenCount": 0}
    model.say("/", reply(json.dumps(OUTPUTS["research"]), usageMetadata=usage))
    assert planning.write(take(), lambda: None) == (OUTPUTS["research"], None)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * (planning.MOST_SOP + 1)])
def test_write_with_an_unreadable_sop_buys_nothing(settings: Settings, tmp_path: Any, content: bytes) -> None:
    settings.PROMPTS_DIR = tmp_path
    (tmp_path / "research.md").write_bytes(content)
    with pytest.raises(Trouble, match=r"research\.md") as trouble:
        planning.write(take(), lambda: None)
    assert trouble.value.kind == Kind.PERMANENT


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("assets", changed("assets", "assets", 0, "key", to="bee\n"), "the key “bee” has a line break"),
        ("story", changed("story", "title", to="  "), "the title is blank"),
        ("shots", {"clips": [{}, SHOT]}, "is a required property"),
        ("shots", {"clips": [5, SHOT]}, "not a type of object"),
        ("shots", {"clips": 5}, "not a type of array"),
    ],
)
def test_check_refuses_what_only_looks_right(name: str, bad: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        planning.check(bad, STEP[NUMBER[name]], FACTS, OUTPUTS)


@pytest.mark.parametrize("shot", [SHOT | {"environment": ""}, {k: v for k, v in SHOT.items() if k != "environment"}])
def test_clip_without_an_environment_shows_its_one_image(shot: Any) -> None:
    first, _ = landed(shots={"clips": [shot, SHOT]}).clips.all()
    assert first.environment == first.character


# ---------------------------------------------------------------- made again


def test_followers_are_all_that_are_told() -> None:
    assert followers([2]) == {3, 4, 5, 6}
    assert followers([4]) == {5, 6}
    assert followers([6]) == set()


def test_redo_of_an_early_step_buys_each_later_one_once(vendors: SandboxClient, at_once: None) -> None:
    task = at_plan_stop()
    decisions.redo(task, [("plan", 2)], by="Ada")
    for _ in range(8):
        jobs.work("planning")
    made = task.takes.filter(kind="plan", attempt__gte=1, number__gt=1).order_by("finished")
    assert list(made.values_list("position", "number")) == [(2, 2), (3, 2), (4, 2), (5, 2), (6, 2)]
    assert fresh(task).status == Status.ASSETS_READY
    assert fresh(task).story == task.takes.get(kind="plan", position=2, selected=True).result["story"]


def test_redo_of_a_step_and_one_that_follows_makes_them_in_turn() -> None:
    task = at_plan_stop()
    decisions.redo(task, [("plan", 3), ("plan", 2)], by="Ada")
    assert [each.position for each in task.takes.filter(state=Take.State.WAITING)] == [2]


def test_redo_of_an_image_and_its_variant_draws_the_variant_after_it() -> None:
    task = at_images_gate(assets=VARIANT)
    decisions.redo(task, [("image", 1), ("image", 3)], by="Ada")
    assert [each.name for each in task.takes.filter(state=Take.State.WAITING)] == ["image 1"]
    make_take_of_waiting(task)
    assert [each.name for each in task.takes.filter(state=Take.State.WAITING)] == ["image 3"]


def make_take_of_waiting(task: Task) -> None:
    """The waiting image is drawn."""
    waiting = task.takes.get(state=Take.State.WAITING)
    Take.objects.filter(pk=waiting.pk).update(state=Take.State.CANCELLED)
    need = next(n for n in recipes.needs(task, STAGES[0]) if (n.piece.kind, n.position) == ("image", waiting.position))
    make_take(task, "image", waiting.position, recipe=need.recipe)
    flow.advance_by_id(task.pk)


def test_redo_of_an_imported_step_writes_again_what_follows(vendors: SandboxClient, at_once: None) -> None:
    task = imported(at_plan_stop())
    decisions.redo(task, [("plan", 3)], by="Ada")
    for _ in range(6):
        jobs.work("planning")
    assert set(task.takes.filter(kind="plan", number=2).values_list("position", flat=True)) == {3, 4, 5, 6}
    keys = {each["key"] for each in task.takes.get(kind="plan", position=3, selected=True).result["assets"]}
    assert {asset.key for asset in task.assets.all()} == keys


def test_plan_of_before_there_were_steps_is_passed_over() -> None:
    task = planned()
    make_take(task, "plan", 0)
    planning.land(task.takes.get(kind="plan", position=6))
    assert task.clips.count() == 2
    flow.advance_by_id(task.pk)


def test_steps_that_fit_nowhere_end_in_words() -> None:
    task = planned(narration={"narration": ["Only one"]})
    flow.advance_by_id(task.pk)
    task = fresh(task)
    assert task.status == Status.ASSET_ERROR
    assert "don't fit together: Narration text: $.narration has 1 entries" in task.changes.last().reason


# ---------------------------------------------------------------- rewritten


def test_rewrite_of_an_imported_plan() -> None:
    task = rewrite(imported(at_plan_stop()), "narration", {"narration": ["New", "Words"]})
    assert [clip.narration for clip in task.clips.all()] == ["New", "Words"]


def test_rewrite_before_the_later_steps_are_there() -> None:
    task = planned()
    task.takes.filter(kind="plan", position__gt=1).update(selected=False, state=Take.State.FAILED)
    flow.advance_by_id(task.pk)
    task = rewrite(fresh(task), "research", OUTPUTS["research"] | {"question": "How?"})
    assert task.takes.get(kind="plan", position=1).result["question"] == "How?"
    with pytest.raises(DecisionError, match="Story is not written yet"):
        rewrite(task, "story", OUTPUTS["story"])


def test_rewrite_takes_the_place_of_what_the_model_could_not_do() -> None:
    task = at_plan_stop()
    decisions.redo(task, [("plan", 5)], by="Ada")
    again = task.takes.get(state=Take.State.WAITING)
    Take.objects.filter(pk=again.pk).update(state=Take.State.FAILED, error="refused")
    flow.advance_by_id(task.pk)
    task = rewrite(fresh(task), "narration", {"narration": ["By", "Hand"]})
    assert fresh(again).state == Take.State.CANCELLED
    decisions.retry(task, by="Ada")
    flow.start_waiting(task.channel_id)
    assert not task.takes.filter(state=Take.State.WAITING, kind="plan").exists()


def test_rewrite_of_the_story_changes_a_title_that_was_the_models() -> None:
    task = at_plan_stop()
    Task.objects.filter(pk=task.pk).update(title="Bees")
    assert rewrite(fresh(task), "story", OUTPUTS["story"] | {"title": "Wild\nBees"}).title == "Wild Bees"
    Task.objects.filter(pk=task.pk).update(title="The creator's")
    assert rewrite(fresh(task), "story", OUTPUTS["story"] | {"title": "Tame Bees"}).title == "The creator's"


def test_rewrite_of_another_step_keeps_what_people_made_of_the_description() -> None:
    task = at_plan_stop()
    Task.objects.filter(pk=task.pk).update(description="By hand", tags=["x"])
    task = rewrite(fresh(task), "narration", {"narration": ["New", "Words"]})
    assert (task.description, task.tags) == ("By hand", ["x"])
    task = rewrite(task, "story", OUTPUTS["story"] | {"description": "Anew"})
    assert task.description == "Anew"


@pytest.mark.parametrize(
    ("step", "output", "message"),
    [
        ("story", OUTPUTS["story"] | {"beats": 5}, r"Story: \$.beats is “5”, not a type of array"),
        ("story", OUTPUTS["story"] | {"beats": []}, r"Story: \$.beats has 0 entries, at least 2"),
        ("story", {}, "Story: .*required"),
        ("assets", {"assets": ASSETS * 30}, "Images to draw: .* has 90 entries, at most 60"),
        ("assets", {"assets": ASSETS[:2]}, "Shot list: .* is “comb”, which is none of bee, hive"),
        ("research", {"question": "?"}, "Research: .*required"),
    ],
)
def test_rewrite_refuses_in_words_what_breaks_the_plan(step: str, output: Any, message: str) -> None:
    task = at_plan_stop()
    with pytest.raises(DecisionError, match=f"{message}.*Nothing was changed"):
        rewrite(task, step, output)


def test_image_added_by_hand_is_drawn_after_the_next_yes(at_once: None) -> None:
    """Without it the composites would fail for a picture that nobody made."""
    task = at_images_gate()
    wasp = {"key": "wasp", "kind": "character", "prompt": "Draw a wasp", "reference": ""}
    task = rewrite(task, "assets", {"assets": [*ASSETS, wasp]})
    assert review.read(task).commitment.pieces >= 1
    assert decisions.approve(task, by="Ada") == "Plan approved"
    flow.start_waiting(task.channel_id)
    assert [each.name for each in task.takes.filter(state=Take.State.WAITING)] == ["image 4"]


def test_former_take_of_a_step_is_shown_and_picked(operator_client: Client) -> None:
    task = at_plan_stop()
    former = task.takes.get(kind="plan", position=NUMBER["narration"])
    need = recipes.needs(task, STAGES[0])[NUMBER["narration"] - 1]
    make_take(task, "plan", NUMBER["narration"], recipe=need.recipe)
    newer = task.takes.get(kind="plan", position=NUMBER["narration"], selected=True)
    Take.objects.filter(pk=newer.pk).update(result={"narration": ["Other", "Words"]})
    planning.land(fresh(newer))
    assert "Words of the first" in operator_client.get(review_of(task)).content.decode()
    decisions.pick(task, former, by="Ada")
    assert task.clips.first().narration == "Words of the first"
    decisions.pick(task, newer, by="Ada")
    assert task.clips.first().narration == "Other"


def test_former_take_of_a_step_that_fits_no_more_is_refused() -> None:
    task = at_plan_stop()
    need = recipes.needs(task, STAGES[0])[NUMBER["narration"] - 1]
    odd = make_take(task, "plan", NUMBER["narration"], recipe=need.recipe, selected=False)
    Take.objects.filter(pk=odd.pk).update(result={"narration": ["Only one"]})
    task.takes.filter(kind="plan", position=NUMBER["narration"], number=1).update(selected=True)
    with pytest.raises(DecisionError, match=r"Narration text: .* has 1 entries"):
        decisions.pick(task, fresh(odd), by="Ada")


# ---------------------------------------------------------------- two people, and words of one's own


def test_second_yes_at_the_plan_stop_names_the_first(operator_client: Client, at_once: None) -> None:
    task = at_plan_stop()
    seen = review.seen(task)
    page = operator_client.get(review_of(task)).content.decode()
    assert "Approve the plan?" in page
    assert "Look closely" not in page
    decisions.approve(task, by="Ada")
    flow.start_waiting(task.channel_id)
    page = operator_client.post(review_of(task), {"seen": seen, "verb": "approve"}, follow=True)
    assert "Ada has approved this already" in " ".join(map(str, page.context["messages"]))
    assert task.approvals.count() == 1


def test_yes_to_a_plan_that_was_rewritten_meanwhile_is_refused(operator_client: Client) -> None:
    task = at_plan_stop()
    seen = review.seen(task)
    rewrite(task, "narration", {"narration": ["New", "Words"]}, by="Bea")
    page = operator_client.post(review_of(task), {"seen": seen, "verb": "approve"}, follow=True)
    assert "has changed since you opened it" in " ".join(map(str, page.context["messages"]))
    assert not task.approvals.exists()


def test_own_words_for_a_piece_of_an_approved_plan_need_no_second_yes(at_once: None) -> None:
    task = walk_on(landed(channel={"gates": ["plan", "assets"]}, assets=VARIANT))
    decisions.approve(task, by="Ada")
    flow.start_waiting(task.channel_id)
    task.takes.filter(state=Take.State.WAITING).delete()
    make_stage(task, STAGES[0])
    task = walk_on(task)
    decisions.redo(task, [("image", 1)], by="Bea", words="Draw it anew")
    assert not gates.awaits_plan_yes(fresh(task))
    assert set(task.approvals.values_list("by", flat=True)) >= {"Ada", "Bea"}


def test_own_words_that_no_provider_takes_are_refused() -> None:
    task = make_production(Status.SFX_READY, channel=make_channel(gates=["sfx"]))
    for step in STEPS:
        task.takes.filter(kind="plan", position=step.number).update(result=OUTPUTS[step.name])
    with pytest.raises(DecisionError, match=r"Sound prompts: .*has 900 characters, at most 450"):
        decisions.redo(task, [("sound", 1)], by="Bea", words="x" * 900)
    assert task.clips.first().sound_prompt == "Sound 1: water dripping in a cave."


def test_lint_looks_over_ones_own_words(at_once: None) -> None:
    task = at_images_gate()
    decisions.redo(task, [("image", 1)], by="Bea", words="A corpse in the grass")
    assert "corpse" in json.dumps(fresh(task).findings)


def test_lane_of_a_channel_with_its_own_key_is_closed_for_nobody(model: Vendor, at_once: None) -> None:
    model.say("/", b'{"quotaId": "RequestsPerDay"}', 429)
    task = planned()
    task.takes.filter(kind="plan").update(selected=False, state=Take.State.CANCELLED)
    Token.objects.create(channel=task.channel, name="GEMINI_API_KEY", value="own")
    flow.advance_by_id(task.pk)
    jobs.work("planning")
    (waiting,) = task.takes.filter(state=Take.State.WAITING)
    assert waiting.lane.closed_until is None
    assert not dispatch.claim("planning", 1)
    assert Decimal(0) == sum(line.counts for line in waiting.ledger.all())
