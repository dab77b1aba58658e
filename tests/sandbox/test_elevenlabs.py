import base64
import io

import av
import pytest
import requests

from tests.sandboxes import KEY

TEXT = "Look closely at lighthouses, and a much larger story begins. Almost nothing here is what it seems."


@pytest.fixture
def ask(addresses):
    def post(path, body, key=KEY, **query):
        url = f"{addresses['ELEVENLABS_BASE_URL']}/v1/{path}"
        return requests.post(url, json=body, params=query, headers={"xi-api-key": key}, timeout=10)

    return post


def seconds(data):
    with av.open(io.BytesIO(data)) as sound:
        frames = list(sound.decode(audio=0))
        assert sound.metadata.get("comment", "").startswith("SIMULATED")
    return sum(frame.samples for frame in frames) / frames[0].sample_rate


def test_text_to_speech_gives_marked_speech_and_its_price(ask, control):
    answer = ask("text-to-speech/voice-one", {"text": TEXT, "model_id": "eleven_multilingual_v2"})
    assert answer.headers["Content-Type"] == "audio/mpeg"
    assert 4 < seconds(answer.content) < 10
    assert answer.headers["character-cost"] == str(len(TEXT))
    assert {"request-id", "history-item-id"} <= set(answer.headers)
    booked = control.calls("elevenlabs", "text-to-speech")[-1]
    assert (booked["text"], booked["ref"]) == (TEXT, answer.headers["request-id"])
    assert booked["usd"] == pytest.approx(len(TEXT) * 0.0002)


def test_text_to_speech_timestamps_cover_the_sound(ask):
    answer = ask("text-to-speech/voice-one/with-timestamps", {"text": TEXT}, output_format="mp3_44100_64").json()
    times = answer["alignment"]
    starts, ends = times["character_start_times_seconds"], times["character_end_times_seconds"]
    assert "".join(times["characters"]) == TEXT
    assert len(starts) == len(ends) == len(TEXT)
    assert starts == sorted(starts)
    assert all(start <= end for start, end in zip(starts, ends, strict=True))
    assert ends[-1] == pytest.approx(seconds(base64.b64decode(answer["audio_base64"])), abs=0.1)
    assert 0.3 < starts[TEXT.index("lighthouses")] < 1.5


def test_text_to_speech_pcm_is_headerless(ask):
    answer = ask("text-to-speech/voice-one", {"text": "Two words."}, output_format="pcm_24000")
    assert not answer.content.startswith(b"RIFF")
    assert 0.4 < len(answer.content) / 2 / 24_000 < 3


def test_sound_generation_has_the_wanted_length(ask):
    rain = ask(
        "sound-generation", {"text": "steady rain on a roof", "duration_seconds": 4.0}, output_format="mp3_44100_128"
    )
    wind = ask("sound-generation", {"text": "soft wind", "duration_seconds": 4.0}, output_format="mp3_44100_128")
    assert seconds(rain.content) == pytest.approx(4, abs=0.1)
    assert rain.headers["character-cost"] == "160"
    assert rain.content != wind.content


@pytest.mark.parametrize(
    ("path", "body", "key", "status", "code"),
    [
        ("text-to-speech/voice-one", {"text": TEXT}, "wrong", 401, "invalid_api_key"),
        ("text-to-speech/missing-voice", {"text": TEXT}, KEY, 404, "voice_not_found"),
        ("text-to-speech/voice-one", {"text": TEXT, "model_id": "eleven_v0"}, KEY, 400, "model_not_found"),
        ("text-to-speech/voice-one", {"text": "x" * 10_001}, KEY, 400, "max_character_limit_exceeded"),
    ],
)
def test_text_to_speech_errors_have_a_detail(ask, path, body, key, status, code):
    answer = ask(path, body, key)
    assert (answer.status_code, answer.json()["detail"]["status"]) == (status, code)


def test_text_to_speech_missing_text_is_a_422_with_a_list(ask):
    answer = ask("text-to-speech/voice-one", {})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "text"]
    assert ask("sound-generation", {"text": "x", "duration_seconds": 31}).status_code == 422


def test_text_to_speech_exhausted_quota_is_a_401(ask, control):
    control.plan_fault("elevenlabs", "quota", daily=True)
    answer = ask("text-to-speech/voice-one", {"text": TEXT})
    assert (answer.status_code, answer.json()["detail"]["status"]) == (401, "quota_exceeded")
