"""The elevenlabs package, as ElevenLabs ships it, against the sandbox."""

import base64
import concurrent.futures

import httpx
import pytest
from elevenlabs import ElevenLabs, VoiceSettings
from elevenlabs.core.api_error import ApiError
from elevenlabs.errors import UnprocessableEntityError

from tests.sandboxes import KEY

VOICE = "21m00Tcm4TlvDq8ikWAM"


@pytest.fixture
def connect(addresses):
    """A client with the given key, whose connections are closed at the end."""
    with httpx.Client(timeout=20) as wire:
        yield lambda key: ElevenLabs(api_key=key, base_url=addresses["ELEVENLABS_BASE_URL"], httpx_client=wire)


@pytest.fixture
def eleven(connect):
    return connect(KEY)


def say(eleven, text="After the storm", **more):
    return b"".join(eleven.text_to_speech.convert(voice_id=VOICE, text=text, **more))


def test_convert_streams_an_mp3(eleven):
    settings = VoiceSettings(stability=0.4, similarity_boost=0.75, style=0.12, use_speaker_boost=True)
    sound = say(eleven, model_id="eleven_multilingual_v2", voice_settings=settings, output_format="mp3_44100_128")
    assert sound.startswith((b"ID3", b"\xff"))


def test_convert_raw_response_has_the_billing_headers(eleven):
    text = "After the storm"
    with eleven.text_to_speech.with_raw_response.convert(voice_id=VOICE, text=text) as answer:
        assert answer.headers["character-cost"] == str(len(text))
        assert answer.headers["maximum-concurrent-requests"] == "10"
        assert answer.headers["request-id"]
        assert b"".join(answer.data)


def test_convert_with_timestamps_is_typed(eleven):
    answer = eleven.text_to_speech.convert_with_timestamps(voice_id=VOICE, text="After the storm")
    assert base64.b64decode(answer.audio_base_64).startswith((b"ID3", b"\xff"))
    assert "".join(answer.alignment.characters) == "After the storm"
    assert answer.alignment.character_end_times_seconds[-1] > 0.5


def test_sound_effects_as_bare_samples(eleven):
    sound = b"".join(eleven.text_to_sound_effects.convert(text="rain", duration_seconds=1.0, output_format="pcm_24000"))
    assert len(sound) == pytest.approx(2 * 24_000, rel=0.05)
    assert not sound.startswith(b"RIFF")


def test_history_pages_name_what_was_billed(eleven):
    texts = [f"Sentence number {number}." for number in range(3)]
    for text in texts:
        say(eleven, text)
    first = eleven.history.list(page_size=2)
    second = eleven.history.list(page_size=1, start_after_history_item_id=first.last_history_item_id)
    assert [item.text for item in (*first.history, *second.history)] == texts[::-1]
    assert first.has_more
    assert first.history[0].character_count_change_to == len(texts[-1])


def test_models_voices_and_subscription_are_typed(eleven):
    assert "eleven_multilingual_v2" in [model.model_id for model in eleven.models.list()]
    page = eleven.voices.search(page_size=2)
    rest = eleven.voices.search(page_size=2, next_page_token=page.next_page_token)
    assert (page.has_more, rest.has_more) == (True, False)
    assert len({voice.voice_id for voice in (*page.voices, *rest.voices)}) == page.total_count == 3
    assert eleven.user.subscription.get().tier == "pro"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"daily": True}, 401, "quota_exceeded"),
        ({}, 429, "concurrent_limit_exceeded"),
    ],
)
def test_api_error_over_quota(eleven, control, fault, status, code):
    control.plan_fault("elevenlabs", "quota", **fault)
    with pytest.raises(ApiError) as caught:
        say(eleven)
    assert (caught.value.status_code, caught.value.body["detail"]["code"]) == (status, code)


def test_api_error_of_a_wrong_key_voice_and_model(eleven, connect):
    with pytest.raises(ApiError) as wrong_key:
        say(connect("sk_somebody"))
    assert (wrong_key.value.status_code, wrong_key.value.body["detail"]["status"]) == (401, "invalid_api_key")
    with pytest.raises(ApiError) as wrong_voice:
        b"".join(eleven.text_to_speech.convert(voice_id="missing-voice", text="A"))
    assert (wrong_voice.value.status_code, wrong_voice.value.body["detail"]["code"]) == (404, "voice_not_found")
    with pytest.raises(ApiError) as wrong_model:
        say(eleven, model_id="eleven_v0")
    assert (wrong_model.value.status_code, wrong_model.value.body["detail"]["code"]) == (400, "model_not_found")


def test_unprocessable_entity_lists_the_fields(eleven):
    with pytest.raises(UnprocessableEntityError) as caught:
        b"".join(eleven.text_to_sound_effects.convert(text="rain", duration_seconds=31))
    assert caught.value.status_code == 422
    assert caught.value.body["detail"][0]["loc"] == ["body", "duration_seconds"]


def test_client_tries_again_by_itself_but_not_where_it_streams(eleven, control):
    control.plan_fault("elevenlabs", "status", status=429, headers={"retry-after": "0"}, times=2)
    before = len(control.calls("elevenlabs", "text-to-speech"))
    assert eleven.text_to_speech.convert_with_timestamps(voice_id=VOICE, text="A").alignment
    assert [call["status"] for call in control.calls("elevenlabs", "text-to-speech")[before:]] == [429, 429, 200]
    control.plan_fault("elevenlabs", "status", status=503)
    with pytest.raises(ApiError) as caught:
        b"".join(eleven.text_to_speech.convert(voice_id=VOICE, text="A"))
    assert caught.value.status_code == 503


def test_limits_take_ten_requests_at_once(eleven, control):
    control.set_limits(on=True)
    control.set_pace(sound=1.5)

    def make(_):
        try:
            return len(b"".join(eleven.text_to_sound_effects.convert(text="A", duration_seconds=0.5)))
        except ApiError as error:
            return error.body["detail"]["code"]

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        outcomes = list(pool.map(make, range(12)))
    assert outcomes.count("concurrent_limit_exceeded") == 2
