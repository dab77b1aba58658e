import base64
import re
import wave

import pytest

from tests.media import ffmpeg

SPEECH, EFFECT = "/v1/text-to-speech/", "/v1/sound-generation"


def alignment(text):
    times = [round(index * 0.1, 1) for index in range(len(text) + 1)]
    return {
        "characters": list(text),
        "character_start_times_seconds": times[:-1],
        "character_end_times_seconds": times[1:],
    }


def speech(content, text):
    return {"audio_base64": base64.b64encode(content).decode(), "alignment": alignment(text)}


def mean_volume(path):
    log = ffmpeg("-i", path, "-af", "volumedetect", "-f", "null", "-")
    return float(re.search(r"mean_volume: (-?[\d.]+)", log)[1])


def test_generate_audio_writes_mp3_words_and_cost(run, vendor, mp3, tmp_path):
    vendor.say(SPEECH, speech(mp3, "After the  storm."), headers={"character-cost": "17"})
    outcome = run("generate_audio.py", "--text", "After the  storm.", "--output", tmp_path / "a.mp3")
    assert (outcome.code, outcome.names) == (0, ["started", "sending", "cost", "timings"])
    assert outcome.the("timings")["words"] == [["After", 0.0, 0.5], ["the", 0.6, 0.9], ["storm.", 1.1, 1.7]]
    assert (outcome.the("cost")["units"], outcome.the("cost")["usd"]) == (17, pytest.approx(17 * 0.00022))
    assert (tmp_path / "a.mp3").read_bytes() == mp3
    call = vendor.calls[0]
    assert call.path == "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/with-timestamps?output_format=mp3_44100_128"
    assert call.headers["xi-api-key"] == "sandbox-eleven-key"
    assert call.json()["model_id"] == "eleven_multilingual_v2"
    assert call.json()["voice_settings"] == {
        "stability": 0.4,
        "similarity_boost": 0.75,
        "style": 0.12,
        "use_speaker_boost": True,
    }


@pytest.mark.parametrize(
    ("status", "detail", "kind"),
    [
        (401, {"status": "quota_exceeded", "message": "0 credits left"}, "quota"),
        (401, {"status": "invalid_api_key", "message": "Invalid API key"}, "permanent"),
        (401, {"type": "payment", "code": "quota_exceeded", "message": "0 credits"}, "quota"),
        (403, {"status": "only_for_creator+", "message": "upgrade"}, "permanent"),
        (404, {"status": "voice_not_found", "message": "no such voice"}, "permanent"),
        (422, [{"loc": ["body", "text"], "msg": "Field required", "type": "missing"}], "permanent"),
        (429, {"status": "too_many_concurrent_requests", "message": "slow down"}, "transient"),
        (500, "Internal Server Error", "transient"),
        (502, "Bad gateway", "unknown"),
    ],
)
def test_generate_audio_names_the_kind_of_an_error(run, vendor, tmp_path, status, detail, kind):
    vendor.say(SPEECH, {"detail": detail}, status=status)
    outcome = run("generate_audio.py", "--text", "After", "--output", tmp_path / "a.mp3")
    assert (outcome.code, outcome.the("error")["kind"], len(vendor.calls)) == (1, kind, 1)
    if status == 422:
        assert "body.text: Field required" in outcome.the("error")["message"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("odd", [None, "soon", float("nan"), float("inf"), -1, [0]])
@pytest.mark.parametrize("column", ["character_start_times_seconds", "character_end_times_seconds"])
def test_generate_audio_keeps_a_narration_whose_times_make_no_sense(run, vendor, mp3, tmp_path, column, odd):
    times = alignment("After")
    times[column][2] = odd
    vendor.say(SPEECH, {"audio_base64": base64.b64encode(mp3).decode(), "alignment": times})
    outcome = run("generate_audio.py", "--text", "After", "--output", tmp_path / "a.mp3")
    assert (outcome.code, outcome.names, outcome.stderr) == (0, ["started", "sending", "cost"], "")
    assert (tmp_path / "a.mp3").read_bytes() == mp3


@pytest.mark.parametrize(
    ("billed", "units"), [("17", 17), ("8.5", 8.5), ("0", 0), ("", None), ("-3", None), ("9" * 400, None)]
)
def test_generate_audio_reads_any_amount_of_credits(run, vendor, mp3, tmp_path, billed, units):
    vendor.say(SPEECH, speech(mp3, "After"), headers={"character-cost": billed})
    cost = run("generate_audio.py", "--text", "After", "--output", tmp_path / "a.mp3").the("cost")
    assert (cost["units"], "estimated" in cost) == ((5, True) if units is None else (units, False))


def test_generate_audio_reports_a_lost_reply_as_unknown(run, vendor, tmp_path):
    vendor.say(SPEECH, lost=True)
    assert run("generate_audio.py", "--text", "A", "--output", tmp_path / "a.mp3").the("error")["kind"] == "unknown"


def test_generate_audio_refuses_bad_input_before_paying(run, vendor, tmp_path):
    for flags, environment in (
        (("--text", " "), {}),
        (("--text", "A", "--style", "2"), {}),
        (("--text", "A" * 5001, "--model", "eleven_v3"), {}),
        (("--text", "A"), {"ELEVENLABS_VOICE_ID": ""}),
    ):
        outcome = run("generate_audio.py", *flags, "--output", tmp_path / "a.mp3", **environment)
        assert (outcome.code, outcome.names) == (1, ["started", "error"])
    assert vendor.calls == []


def test_generate_sound_effects_sets_the_mean_volume(run, vendor, mp3, tmp_path):
    vendor.say(EFFECT, mp3, headers={"character-cost": "400"})
    outcome = run(
        "generate_sound_effects.py", "--text", "Wind", "--output", tmp_path / "s.mp3", "--target-volume", "-35"
    )
    assert (outcome.code, outcome.names) == (0, ["started", "sending", "cost"])
    assert mean_volume(tmp_path / "s.mp3") == pytest.approx(-35, abs=0.5)
    assert vendor.calls[0].json() == {
        "text": "Wind",
        "duration_seconds": 10.0,
        "prompt_influence": 0.3,
        "model_id": "eleven_text_to_sound_v2",
    }


def test_generate_sound_effects_gives_bare_samples_a_header(run, vendor, tmp_path):
    vendor.say(EFFECT, b"\x00\x10" * 44100)
    flags = ("--text", "Hum", "--format", "pcm_44100", "--no-normalize")
    outcome = run("generate_sound_effects.py", *flags, "--output", tmp_path / "s.wav")
    assert (outcome.code, outcome.the("cost")["estimated"]) == (0, True)
    with wave.open(str(tmp_path / "s.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (44100, 1, 44100)


def test_generate_sound_effects_refuses_bad_input_before_paying(run, vendor, tmp_path):
    for flags in (("--duration", "31"), ("--format", "opus_48000_32"), ("--prompt-influence", "nan")):
        outcome = run("generate_sound_effects.py", "--text", "A", "--output", tmp_path / "s.mp3", *flags)
        assert (outcome.code, outcome.names) == (1, ["started", "error"])
    assert vendor.calls == []


def test_generate_sound_effects_keeps_nothing_that_is_no_sound(run, vendor, tmp_path):
    vendor.say(EFFECT, b"<html>oops</html>")
    outcome = run("generate_sound_effects.py", "--text", "A", "--output", tmp_path / "s.mp3")
    assert (outcome.code, outcome.the("error")["kind"], list(tmp_path.iterdir())) == (1, "permanent", [])
