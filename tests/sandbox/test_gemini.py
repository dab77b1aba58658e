import base64
import io
import json

import jsonschema
import pytest
import requests
from PIL import Image

from tests.sandboxes import KEY

IMAGE, TEXT = "gemini-nano-banana-2.1", "gemini-3.5-flash"
PLAN = {
    "type": "object",
    "required": ["title", "description", "tags", "story", "assets", "clips"],
    "properties": {
        "title": {"type": "string", "maxLength": 100},
        "description": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 3, "maxItems": 8},
        "story": {"type": "string"},
        "assets": {
            "type": "array",
            "minItems": 8,
            "maxItems": 8,
            "items": {
                "type": "object",
                "required": ["key", "kind", "prompt"],
                "properties": {
                    "key": {"type": "string", "description": "unique slug of the asset", "pattern": "^[a-z0-9-]+$"},
                    "kind": {"type": "string", "enum": ["character", "environment", "prop"]},
                    "prompt": {"type": "string"},
                    "reference": {"type": "string", "description": "optional key of another asset"},
                },
            },
        },
        "clips": {
            "type": "array",
            "minItems": 6,
            "maxItems": 6,
            "items": {
                "type": "object",
                "required": ["narration", "motion_prompt", "sound_prompt", "layout", "character", "environment"],
                "properties": {
                    "narration": {"type": "string"},
                    "motion_prompt": {"type": "string"},
                    "sound_prompt": {"type": "string"},
                    "layout": {"type": "string", "enum": ["composite", "split"]},
                    "character": {"type": "string", "description": "key of an asset of kind character"},
                    "environment": {"type": "string", "description": "key of an asset of kind environment"},
                },
            },
        },
    },
}


@pytest.fixture
def generate(addresses):
    def ask(model, prompt, key=KEY, **config):
        body = {"contents": [{"role": "user", "parts": [{"text": prompt}]}], "generationConfig": config}
        url = f"{addresses['GEMINI_BASE_URL']}/v1beta/models/{model}:generateContent"
        return requests.post(url, json=body, headers={"x-goog-api-key": key}, timeout=10)

    return ask


def picture(answer):
    part = answer.json()["candidates"][0]["content"]["parts"][0]["inlineData"]
    image = Image.open(io.BytesIO(base64.b64decode(part["data"])))
    assert image.get_format_mimetype() == part["mimeType"]
    return image


def test_generate_content_image_has_wanted_size_mark_and_price(generate, control):
    shape = {"aspectRatio": "16:9", "imageSize": "1K"}
    answer = generate(IMAGE, "A harbour at dawn, soft light", responseModalities=["TEXT", "IMAGE"], imageConfig=shape)
    image = picture(answer)
    assert image.size == (1376, 768)
    assert b"SIMULATED" in image.info["comment"]
    booked = control.calls("gemini")[-1]
    assert booked["accepted"]
    assert booked["usd"] == pytest.approx(0.0336, rel=0.01)
    assert booked["text"] == "A harbour at dawn, soft light"


def test_generate_content_character_stands_on_plain_background(generate):
    image = picture(generate(IMAGE, "A keeper, full-body character, plain white background"))
    assert image.format == "PNG"
    assert image.text["Comment"].startswith("SIMULATED")
    width, height = image.size
    assert {image.getpixel(at) for at in ((0, 0), (width - 1, 0), (0, height // 2))} == {(255, 255, 255)}
    assert image.getpixel((width // 2, height // 2)) != (255, 255, 255)


def test_generate_content_same_prompt_gives_same_picture(generate):
    first, again, other = (generate(IMAGE, words).json()["candidates"] for words in ("a hill", "a hill", "a valley"))
    assert first == again
    assert first != other


@pytest.mark.parametrize("field", ["responseJsonSchema", "responseSchema"])
def test_generate_content_plan_fits_its_schema_and_topic(generate, field):
    prompt = "Write the plan.\nTopic: How lighthouses work, and why the last keepers left"
    answer = generate(TEXT, prompt, **{"responseMimeType": "application/json", field: PLAN})
    plan = json.loads(answer.json()["candidates"][0]["content"]["parts"][0]["text"])
    jsonschema.validate(plan, PLAN)
    kinds = [asset["kind"] for asset in plan["assets"]]
    assert {kind: kinds.count(kind) for kind in kinds} == {"character": 3, "environment": 4, "prop": 1}
    keys = {asset["key"]: asset["kind"] for asset in plan["assets"]}
    assert len(keys) == 8
    narrations = [clip["narration"] for clip in plan["clips"]]
    assert len(set(narrations)) == 6
    assert all(20 <= len(words.split()) <= 25 and "lighthouse" in words for words in narrations)
    assert all(keys[clip["character"]] == "character" for clip in plan["clips"])
    assert all(keys[clip["environment"]] == "environment" for clip in plan["clips"])
    assert answer.json()["usageMetadata"]["candidatesTokenCount"] > 100


def test_generate_content_wrong_key_is_invalid_argument(generate):
    answer = generate(IMAGE, "x", key="AIza-somebody")
    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert "API key not valid" in answer.json()["error"]["message"]


def test_generate_content_unknown_field_is_named(generate):
    answer = generate(IMAGE, "x", imageConfig={"outputMimeType": "image/png"})
    assert answer.status_code == 400
    assert "\"outputMimeType\" at 'generationConfig.imageConfig'" in answer.json()["error"]["message"]


@pytest.mark.parametrize("data", ["", "no base64!", base64.b64encode(b"GIF89a").decode(), 5, None])
def test_generate_content_reference_that_is_no_picture(addresses, control, data):
    parts = [{"inlineData": {"mimeType": "image/png", "data": data}}, {"text": "A lamp"}]
    url, before = f"{addresses['GEMINI_BASE_URL']}/v1beta/models/{IMAGE}:generateContent", control.spent_usd()
    answer = requests.post(url, json={"contents": [{"parts": parts}]}, headers={"x-goog-api-key": KEY}, timeout=10)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert control.spent_usd() == before


def test_generate_content_dead_model_is_not_found(generate):
    assert generate("gemini-3-pro-image-preview", "x").status_code == 404


def test_generate_content_refusal_comes_inside_200(generate, control):
    control.plan_fault("gemini", "refuse", match="forbidden")
    assert "inlineData" in generate(IMAGE, "harmless").text
    answer = generate(IMAGE, "something forbidden")
    assert answer.status_code == 200
    assert answer.json()["candidates"][0]["finishReason"] == "IMAGE_SAFETY"
    assert control.calls("gemini")[-1]["usd"] == 0


def test_generate_content_planned_429_says_when_to_retry(generate, control):
    control.plan_fault("gemini", "quota", "generateContent", seconds=20)
    answer = generate(IMAGE, "x")
    details = {each["@type"].rpartition(".")[2]: each for each in answer.json()["error"]["details"]}
    assert answer.status_code == 429
    assert details["RetryInfo"]["retryDelay"] == "20s"
    assert "PerMinute" in details["QuotaFailure"]["violations"][0]["quotaId"]
    assert generate(IMAGE, "x").status_code == 200


def test_generate_content_lost_reply_is_billed_all_the_same(generate, control):
    control.plan_fault("gemini", "lost_reply", "generateContent")
    with pytest.raises(requests.ConnectionError):
        generate(IMAGE, "lost at sea")
    booked = control.calls("gemini")[-1]
    assert (booked["text"], booked["fault"], booked["accepted"]) == ("lost at sea", "lost_reply", True)
    assert booked["usd"] > 0


def test_models_lists_what_can_be_called(addresses):
    answer = requests.get(f"{addresses['GEMINI_BASE_URL']}/v1beta/models", headers={"x-goog-api-key": KEY}, timeout=5)
    assert f"models/{IMAGE}" in [model["name"] for model in answer.json()["models"]]
