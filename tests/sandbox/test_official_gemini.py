"""google-genai, as Google ships it, against the sandbox."""

import io
import json

import pytest
from google import genai
from google.genai import errors, types
from PIL import Image

from tests.sandboxes import KEY

IMAGE, TEXT = "gemini-nano-banana-2.1", "gemini-3.5-flash"
WIDE = types.GenerateContentConfig(
    response_modalities=["TEXT", "IMAGE"], image_config=types.ImageConfig(aspect_ratio="16:9", image_size="1K")
)


@pytest.fixture(params=["v1beta", "v1"])
def connect(addresses, request):
    """A client of either version of the API; retry: its own retries."""

    def make(key=KEY, retry=None):
        options = types.HttpOptions(
            base_url=addresses["GEMINI_BASE_URL"], api_version=request.param, timeout=10_000, retry_options=retry
        )
        opened.append(genai.Client(api_key=key, http_options=options))
        return opened[-1]

    opened = []
    yield make
    for client in opened:
        client.close()


def test_generate_content_draws_with_a_reference(connect):
    out = io.BytesIO()
    Image.new("RGB", (64, 36), "teal").save(out, "PNG")
    reference = types.Part.from_bytes(data=out.getvalue(), mime_type="image/png")
    answer = connect().models.generate_content(model=IMAGE, contents=[reference, "A harbour at dawn"], config=WIDE)
    (part,) = answer.parts
    assert part.as_image().mime_type == part.inline_data.mime_type
    assert Image.open(io.BytesIO(part.inline_data.data)).size == (1376, 768)
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.usage_metadata.prompt_token_count > 258, "the reference counts"
    assert answer.usage_metadata.candidates_token_count == 1120


def test_generate_content_answers_by_schema(connect):
    schema = {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}
    config = types.GenerateContentConfig(response_mime_type="application/json", response_json_schema=schema)
    answer = connect().models.generate_content(model=TEXT, contents="Topic: lighthouses", config=config)
    assert list(json.loads(answer.text)) == ["title"]
    assert answer.parsed == json.loads(answer.text)


def test_generate_content_stream_tells_the_same_in_parts(connect):
    client = connect()
    whole = client.models.generate_content(model=TEXT, contents="Topic: lighthouses").text
    chunks = list(client.models.generate_content_stream(model=TEXT, contents="Topic: lighthouses"))
    assert len(chunks) > 1
    assert "".join(chunk.text for chunk in chunks) == whole
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP


def test_models_list_goes_through_the_pages(connect, control):
    client, before = connect(), len(control.calls("gemini", "models"))
    names = [model.name for model in client.models.list(config={"page_size": 3})]
    assert len(control.calls("gemini", "models")) == before + 2
    assert f"models/{IMAGE}" in names
    assert len(set(names)) == 4
    assert "generateContent" in client.models.get(model=IMAGE).supported_actions
    assert client.models.count_tokens(model=TEXT, contents="two words").total_tokens > 0


@pytest.mark.parametrize(
    ("model", "key", "code", "status"),
    [
        (IMAGE, "AIza-somebody", 400, "INVALID_ARGUMENT"),
        ("gemini-3-pro-image-preview", KEY, 404, "NOT_FOUND"),
    ],
)
def test_client_error_has_code_and_status(connect, model, key, code, status):
    with pytest.raises(errors.ClientError) as caught:
        connect(key).models.generate_content(model=model, contents="A hill", config=WIDE)
    assert (caught.value.code, caught.value.status) == (code, status)


def test_client_error_of_an_unknown_method_is_googles_json(connect):
    with pytest.raises(errors.ClientError) as caught:
        connect().models.embed_content(model=TEXT, contents="A hill")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


@pytest.mark.parametrize(("daily", "span"), [(True, "PerDay"), (False, "PerMinute")])
def test_client_error_over_quota_tells_which_and_how_long(connect, control, daily, span):
    control.plan_fault("gemini", "quota", seconds=20, daily=daily)
    with pytest.raises(errors.ClientError) as caught:
        connect().models.generate_content(model=IMAGE, contents="A hill", config=WIDE)
    details = {each["@type"].rpartition(".")[2]: each for each in caught.value.details["error"]["details"]}
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")
    assert span in details["QuotaFailure"]["violations"][0]["quotaId"]
    assert details["RetryInfo"]["retryDelay"] == "20s", "of a daily limit, too"


def test_server_error_is_retried_by_the_client_if_it_may(connect, control):
    body = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    control.plan_fault("gemini", "status", status=503, body=body)
    with pytest.raises(errors.ServerError, match="overloaded"):
        connect().models.generate_content(model=IMAGE, contents="A hill", config=WIDE)
    control.plan_fault("gemini", "status", status=503, body=body)
    patient = connect(retry=types.HttpRetryOptions(attempts=2, initial_delay=0.01, max_delay=0.01))
    assert patient.models.generate_content(model=IMAGE, contents="A hill", config=WIDE).parts


def test_refusals_raise_nothing(connect, control):
    control.plan_fault("gemini", "refuse", times=2)
    client = connect()
    image = client.models.generate_content(model=IMAGE, contents="Something forbidden", config=WIDE)
    assert image.candidates[0].finish_reason == types.FinishReason.IMAGE_SAFETY
    assert not image.parts
    text = client.models.generate_content(model=TEXT, contents="Something forbidden")
    assert text.prompt_feedback.block_reason == types.BlockedReason.PROHIBITED_CONTENT
    assert not text.candidates
