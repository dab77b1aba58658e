"""What a piece is made from: the parts that a channel or a plan may leave out."""

import pytest
from django.core.files.base import ContentFile

from production import recipes
from production.models import Clip, Task
from production.stages import STAGE, Status
from tests.factories import make_channel, make_production, make_stage
from tests.media import picture

pytestmark = pytest.mark.django_db


def need(task: Task, stage: str, position: int = 0) -> recipes.Need:
    return next(need for need in recipes.needs(task, STAGE[stage]) if need.position == position)


def film(**words: object) -> recipes.Recipe:
    task = make_production(Status.SFX_READY, clips=2, channel=make_channel(**words))
    return need(task, "assembly").recipe


def manifest(recipe: recipes.Recipe) -> dict:
    return recipe.flags[1]["json"]


def test_film_is_told_what_is_spoken_and_when():
    clips = manifest(film())["clips"]
    assert [clip["clip_number"] for clip in clips] == [1, 2]
    assert clips[0]["text"].startswith("Sentence 1")
    assert {"video", "audio", "sfx", "words"} <= clips[0].keys()


def test_film_of_a_plain_channel_has_captions_and_thumbnail_only():
    assert manifest(film()).keys() == {"clips", "captions", "thumbnail"}
    assert manifest(film(captions=False, thumbnail=False)).keys() == {"clips"}


def test_film_of_a_branded_channel_is_another_one_when_the_brand_changes():
    channel = make_channel(fade="0.5")
    channel.watermark.save("mark.png", ContentFile(picture()))
    channel.intro.save("intro.mp4", ContentFile(b"first"))
    task = make_production(Status.SFX_READY, clips=2, channel=channel)
    first = need(task, "assembly").recipe
    assert manifest(first)["fade"] == 0.5
    assert manifest(first)["watermark"] == channel.watermark.path
    assert channel.watermark.path.endswith(f"/{channel.slug}/branding/mark.png")
    channel.intro.save("intro.mp4", ContentFile(b"second"))
    again = Task.objects.get(pk=task.pk)
    assert need(again, "assembly").recipe.fingerprint != first.fingerprint


def test_composite_of_a_clip_without_environment_shows_its_one_image():
    task = make_production(Status.ASSETS_APPROVED, clips=1)
    clip = Clip.objects.get(task=task)
    clip.environment = clip.character
    clip.save()
    recipe = need(task, "composites", 1).recipe
    image = task.takes.get(kind="image", position=1)
    assert recipe.flags == ["--character", {"take": image.pk}, "--environment", {"take": image.pk}]
    assert (recipe.sources, recipe.prompt) == ((image,), "image-1")
    make_stage(task, STAGE["composites"])
    assert list(task.takes.get(kind="composite").sources.all()) == [image]
