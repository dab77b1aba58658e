import base64
import io
import json

import pytest
from PIL import ExifTags, Image

from tests.media import picture

PATH = "/v1beta/models/"
USAGE = {"promptTokenCount": 200, "candidatesTokenCount": 1120, "totalTokenCount": 1320}


def image_answer(content, mime="image/png"):
    thought = {"inlineData": {"mimeType": mime, "data": "AAAA"}, "thought": True}
    part = {"inlineData": {"mimeType": mime, "data": base64.b64encode(content).decode()}}
    return {
        "candidates": [{"content": {"parts": [{"text": "Here"}, thought, part]}, "finishReason": "STOP"}],
        "usageMetadata": USAGE,
    }


def quota_error(quota_id, delay="26s"):
    details = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota_id}]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
    ]
    return {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded", "details": details}}


def test_generate_asset_writes_the_image_and_its_cost(run, vendor, tmp_path):
    vendor.say(PATH, image_answer(picture()))
    outcome = run("generate_asset.py", "--prompt", "A lamp", "--output", tmp_path / "a.png")
    assert (outcome.code, outcome.names) == (0, ["started", "sending", "cost"])
    assert outcome.the("cost")["usd"] == pytest.approx(1120 * 30e-6 + 200 * 1.5e-6)
    assert (tmp_path / "a.png").read_bytes() == picture()
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    call = vendor.calls[0]
    assert call.path == "/v1beta/models/gemini-nano-banana-2.1:generateContent"
    assert call.headers["x-goog-api-key"] == "sandbox-gemini-key"
    assert call.json()["generationConfig"]["imageConfig"] == {"aspectRatio": "16:9", "imageSize": "1K"}


def test_generate_asset_reads_the_other_alphabet_of_base64(run, vendor, tmp_path):
    image = io.BytesIO()
    Image.effect_noise((64, 36), 90).save(image, "PNG")
    answer = image_answer(image.getvalue())
    data = answer["candidates"][0]["content"]["parts"][-1]["inlineData"]
    data["data"] = data["data"].replace("+", "-").replace("/", "_")
    assert {"-", "_"} <= set(data["data"])
    vendor.say(PATH, answer)
    assert run("generate_asset.py", "--prompt", "A lamp", "--output", tmp_path / "a.png").code == 0
    assert (tmp_path / "a.png").read_bytes() == image.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_generate_asset_keeps_the_mark_of_a_stand_in(run, vendor, tmp_path, kind):
    content, picture = io.BytesIO(), Image.new("RGB", (64, 36), "navy")
    exif = picture.getexif()
    exif[ExifTags.Base.ImageDescription] = "SIMULATED by the sandbox"
    words = {"comment": b"SIMULATED by the sandbox"} if kind == "JPEG" else {"exif": exif}
    picture.save(content, kind, **words)
    vendor.say(PATH, image_answer(content.getvalue(), "image/png"))
    assert run("generate_asset.py", "--prompt", "A lamp", "--output", tmp_path / "lamp.png").code == 0
    with Image.open(tmp_path / "lamp.png") as png:
        assert (png.format, png.text["Comment"]) == ("PNG", "SIMULATED by the sandbox")


def test_generate_asset_turns_a_jpeg_answer_into_png(run, vendor, tmp_path):
    vendor.say(PATH, image_answer(picture(kind="JPEG"), "image/png"))
    assert run("generate_asset.py", "--prompt", "A lamp", "--output", tmp_path / "a.png").code == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_generate_asset_sends_references_small_and_in_order(run, vendor, tmp_path):
    vendor.say(PATH, image_answer(picture()))
    (tmp_path / "big.png").write_bytes(picture((4000, 3000), "green"))
    (tmp_path / "small.jpg").write_bytes(picture((64, 64), "red", "JPEG"))
    references = ("--reference-image", tmp_path / "big.png", "--reference-image", tmp_path / "small.jpg")
    assert run("generate_asset.py", "--prompt", "A lamp", "--output", tmp_path / "a.png", *references).code == 0
    big, small, text = vendor.calls[0].json()["contents"][0]["parts"]
    shown = Image.open(io.BytesIO(base64.b64decode(big["inlineData"]["data"])))
    assert (shown.size, big["inlineData"]["mimeType"]) == ((1280, 960), "image/jpeg")
    assert base64.b64decode(small["inlineData"]["data"]) == (tmp_path / "small.jpg").read_bytes()
    assert text == {"text": "A lamp"}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, "PROHIBITED_CONTENT"),
        ({"candidates": [{"content": {}, "finishReason": "IMAGE_SAFETY"}]}, "IMAGE_SAFETY"),
        (
            {"candidates": [{"content": {"parts": [{"text": "I'd rather not"}]}, "finishReason": "STOP"}]},
            "I'd rather not",
        ),
    ],
)
def test_generate_asset_reads_refusals_inside_200(run, vendor, tmp_path, answer, words):
    vendor.say(PATH, answer)
    outcome = run("generate_asset.py", "--prompt", "A lamp", "--output", tmp_path / "a.png")
    assert (outcome.code, outcome.the("error")["kind"]) == (1, "refused")
    assert words in outcome.the("error")["message"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "body", "kind", "wait"),
    [
        (429, quota_error("GenerateRequestsPerDayPerProjectPerModel"), "quota", None),
        (429, quota_error("GenerateRequestsPerMinutePerProjectPerModel"), "transient", 26.0),
        (429, quota_error("GenerateRequestsPerMinutePerProjectPerModel", "0.5s"), "transient", 0.5),
        (429, quota_error("GenerateRequestsPerMinutePerProjectPerModel", "9" * 400 + "s"), "transient", None),
        (429, {"error": {"code": 429, "message": "busy"}}, "transient", None),
        (400, {"error": {"code": 400, "message": "API key not valid"}}, "permanent", None),
        (404, {"error": {"code": 404, "message": "no such model"}}, "permanent", None),
        (503, {"error": {"code": 503, "message": "overloaded"}}, "transient", None),
        (504, b"gateway", "unknown", None),
        (200, b"<html>", "unknown", None),
        (200, b"[" * 100_000, "unknown", None),
    ],
)
def test_generate_asset_names_the_kind_of_an_error(run, vendor, tmp_path, status, body, kind, wait):
    vendor.say(PATH, body, status=status)
    error = run("generate_asset.py", "--prompt", "A lamp", "--output", tmp_path / "a.png").the("error")
    assert (error["kind"], error.get("retry_after")) == (kind, wait)
    assert len(vendor.calls) == 1


@pytest.mark.parametrize("manner", [{"lost": True}, {"cut": True, "body": b"{"}])
def test_generate_asset_reports_a_lost_reply_as_unknown_and_asks_once(run, vendor, tmp_path, manner):
    vendor.say(PATH, **manner)
    outcome = run("generate_asset.py", "--prompt", "A lamp", "--output", tmp_path / "a.png")
    assert (outcome.code, outcome.the("error")["kind"], len(vendor.calls)) == (1, "unknown", 1)


def test_generate_asset_reports_no_connection_as_transient(run, tmp_path, dead_address):
    flags = ("--prompt", "A", "--output", tmp_path / "a.png")
    outcome = run("generate_asset.py", *flags, GEMINI_BASE_URL=dead_address)
    assert outcome.the("error")["kind"] == "transient"


def test_generate_asset_never_prints_its_key(run, vendor, tmp_path):
    vendor.say(PATH, {"error": {"message": "bad key sandbox-gemini-key"}}, status=400)
    outcome = run("generate_asset.py", "--prompt", "A lamp", "--output", tmp_path / "a.png")
    assert "sandbox-gemini-key" not in outcome.stdout + outcome.stderr
    assert "***" in outcome.the("error")["message"]


def test_generate_asset_never_prints_a_part_of_its_key(run, vendor, tmp_path):
    """A vendor quotes it just where a long message is cut."""
    for before in range(470, 500, 5):
        vendor.say(PATH, {"error": {"message": "x" * before + "sandbox-gemini-key"}}, status=400)
    for _ in range(470, 500, 5):
        said = run("generate_asset.py", "--prompt", "A lamp", "--output", tmp_path / "a.png").the("error")["message"]
        assert "san" not in said


def test_generate_asset_refuses_bad_input_before_paying(run, vendor, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n")
    for extra, word in (
        (("--prompt", " "), "empty"),
        (("--prompt", "A", "--reference-image", tmp_path / "broken.png"), "broken.png"),
        (("--prompt", "A", "--reference-image", tmp_path / "absent.png"), "absent.png"),
        (("--promt", "A"), "--prompt"),
    ):
        outcome = run("generate_asset.py", "--output", tmp_path / "a.png", *extra)
        assert (outcome.code, outcome.names, outcome.the("error")["kind"]) == (1, ["started", "error"], "permanent")
        assert word in outcome.the("error")["message"]
    assert vendor.calls == []


def test_environment_file_fills_only_missing_names(run, vendor, tmp_path):
    vendor.say(PATH, image_answer(picture()))
    file = tmp_path / "env"
    file.write_text("\ufeff# keys\nexport GEMINI_API_KEY='from-file'\nGEMINI_IMAGE_MODEL = from-file  # a model\n")
    command = ("generate_asset.py", "--prompt", "A", "--output", tmp_path / "a.png")
    assert run(*command, SCRIPTS_ENV_FILE=file).code == 0
    assert vendor.calls[0].headers["x-goog-api-key"] == "sandbox-gemini-key"
    assert vendor.calls[0].path == "/v1beta/models/from-file:generateContent"
    file.write_text("no equals sign: secret\n")
    error = run(*command, SCRIPTS_ENV_FILE=file).the("error")
    assert "line 1" in error["message"]
    assert "secret" not in json.dumps(error)
