import base64
import hashlib
import hmac
import io
import json
import os
import time

import av
import pytest
import requests
from PIL import Image, ImageChops, ImageStat

from sandbox.kie import WEBHOOK_KEY
from tests.sandboxes import KEY
from tests.vendor import listening
from tests.waiting import eventually

MODEL = "kling/v2-5-turbo-image-to-video-pro"


@pytest.fixture
def kie(addresses):
    def ask(method, path, body=None, key=KEY):
        head = {"Authorization": f"Bearer {key}"}
        return requests.request(method, addresses["KIE_BASE_URL"] + path, json=body, headers=head, timeout=10)

    return ask


@pytest.fixture(params=["PNG"])
def seed(addresses, request):
    out = io.BytesIO()
    Image.effect_noise((330, 180), 80).convert("RGB").save(out, request.param)
    answer = requests.post(
        f"{addresses['KIE_UPLOAD_URL']}/api/file-stream-upload",
        files={"file": ("seed.png", out.getvalue(), "image/png")},
        data={"uploadPath": "seeds/one", "fileName": f"{os.urandom(4).hex()}.png"},
        headers={"Authorization": f"Bearer {KEY}"},
        timeout=10,
    ).json()
    assert answer["success"]
    assert requests.get(answer["data"]["downloadUrl"], timeout=5).content == out.getvalue()
    return answer["data"]["downloadUrl"]


def task(seed, prompt="She turns; camera: slow pan", **more):
    return {"model": MODEL, "input": {"prompt": prompt, "image_url": seed, "duration": "10"}, **more}


@pytest.mark.parametrize("seed", ["PNG", "JPEG"], indirect=True)
def test_create_task_ends_in_a_ten_second_clip(kie, seed, control, tmp_path):
    before = kie("GET", "/api/v1/chat/credit").json()["data"]
    ref = kie("POST", "/api/v1/jobs/createTask", task(seed)).json()["data"]["taskId"]

    def record():
        return kie("GET", f"/api/v1/jobs/recordInfo?taskId={ref}").json()["data"]

    eventually(lambda: record()["state"] == "success")
    (url,) = json.loads(record()["resultJson"])["resultUrls"]
    film = tmp_path / "clip.mp4"
    film.write_bytes(requests.get(url, timeout=10).content)
    with av.open(str(film)) as opened:
        picture, sound = opened.streams.video[0], opened.streams.audio[0]
        assert (picture.width, picture.height, picture.average_rate, picture.frames) == (1920, 1080, 24, 240)
        assert (picture.pix_fmt, picture.sample_aspect_ratio, picture.codec_context.color_range) == ("yuv420p", 1, 1)
        assert (picture.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert opened.duration / 1e6 == pytest.approx(10, abs=0.1)
        assert opened.metadata["comment"].startswith("SIMULATED")
        first, *_, last = (frame for frame in opened.decode(video=0))
    moved = ImageStat.Stat(ImageChops.difference(first.to_image(), last.to_image()))
    assert min(moved.mean) > 5
    assert record()["consumeCredits"] == 84
    assert kie("GET", "/api/v1/chat/credit").json()["data"] == before - 84
    booked = control.calls("kie", "createTask")[-1]
    assert (booked["ref"], booked["usd"]) == (ref, 0.42)
    assert seed in booked["text"]


def test_create_task_calls_back_at_the_end(kie, seed):
    with listening(500, 200) as listener:
        ref = kie("POST", "/api/v1/jobs/createTask", task(seed, callBackUrl=f"{listener.url}/take/7")).json()["data"][
            "taskId"
        ]
        posts = eventually(lambda: len(listener.calls) == 2 and listener.calls)
    body = posts[1].json()
    assert posts[1].path == "/take/7"
    assert (body["code"], body["data"]["taskId"], body["data"]["state"]) == (200, ref, "success")


def submitted(kie, seed, url, prompt="She turns"):
    return kie("POST", "/api/v1/jobs/createTask", task(seed, prompt, callBackUrl=url)).json()["data"]["taskId"]


def verified(call, key):
    """Whether a callback is signed as KIE's documentation says: base64 of HMAC-SHA256 over "taskId.timestamp"."""
    at = call.headers["x-webhook-timestamp"]
    message = f"{call.json()['data']['taskId']}.{at}".encode()
    mine = base64.b64encode(hmac.new(key.encode(), message, hashlib.sha256).digest()).decode()
    return abs(time.time() - int(at)) < 60 and mine == call.headers["x-webhook-signature"]


def test_callback_is_signed_with_the_accounts_key(kie, seed, control):
    with listening() as listener:
        submitted(kie, seed, listener.url)
        eventually(lambda: len(listener.calls) == 1)
        assert verified(listener.calls[0], WEBHOOK_KEY)
        control.set_webhook_key("another")
        submitted(kie, seed, listener.url)
        eventually(lambda: len(listener.calls) == 2)
        assert (verified(listener.calls[1], WEBHOOK_KEY), verified(listener.calls[1], "another")) == (False, True)
        control.set_webhook_key("")
        submitted(kie, seed, listener.url)
        eventually(lambda: len(listener.calls) == 3)
        assert "x-webhook-signature" not in listener.calls[2].headers
    control.set_webhook_key(WEBHOOK_KEY)


def test_callback_twice_and_out_of_order_on_demand(kie, seed, control):
    control.plan_fault("kie", "late", "callback", match="first", seconds=6)
    control.plan_fault("kie", "duplicate", "callback", match="second")
    with listening() as listener:
        first = submitted(kie, seed, listener.url, "The first")
        eventually(lambda: not control.planned_faults("late"))
        second = submitted(kie, seed, listener.url, "The second")
        eventually(lambda: len(listener.calls) == 3)
        assert [call.json()["data"]["taskId"] for call in listener.calls] == [second, second, first]


def test_callback_lost_on_demand(kie, seed, control):
    control.plan_fault("kie", "drop", "callback")
    with listening() as listener:
        ref = submitted(kie, seed, listener.url)
        (lost,) = eventually(lambda: [call for call in control.calls("kie", "callback") if call["ref"] == ref])
        assert (lost["status"], lost["accepted"], lost["fault"], listener.calls) == (0, False, "drop", [])


def test_download_breaks_off_on_demand(kie, seed, control):
    ref = kie("POST", "/api/v1/jobs/createTask", task(seed)).json()["data"]["taskId"]
    record = f"/api/v1/jobs/recordInfo?taskId={ref}"
    eventually(lambda: kie("GET", record).json()["data"]["state"] == "success")
    (url,) = json.loads(kie("GET", record).json()["data"]["resultJson"])["resultUrls"]
    control.plan_fault("kie", "cut_reply", "download", after_bytes=1000)
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="1000 bytes read"):
        requests.get(url, timeout=10)
    assert len(requests.get(url, timeout=10).content) > 10_000


def test_upload_is_killed_at_a_byte_and_leaves_nothing(addresses, control):
    control.plan_fault("kie-upload", "cut", "file-stream-upload", after_bytes=100_000)
    before = len(control.calls("kie-upload"))
    with pytest.raises(requests.ConnectionError):
        requests.post(
            f"{addresses['KIE_UPLOAD_URL']}/api/file-stream-upload",
            files={"file": ("seed.png", os.urandom(2_000_000), "image/png")},
            data={"uploadPath": "cut", "fileName": "whole.png"},
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=10,
        )
    (call,) = control.calls("kie-upload")[before:]
    assert (call["accepted"], call["fault"]) == (False, "cut")
    assert requests.get(f"{addresses['KIE_UPLOAD_URL']}/files/cut/whole.png", timeout=5).status_code == 404


def test_limits_refuse_the_twenty_first_task_of_ten_seconds_uncharged(kie, seed, control):
    control.set_limits(on=True)
    before = kie("GET", "/api/v1/chat/credit").json()["data"]
    bad = task(seed) | {"model": "none"}  # counted like any other, and renders nothing
    codes = [kie("POST", "/api/v1/jobs/createTask", bad).json()["code"] for _ in range(21)]
    assert codes == [422] * 20 + [429]
    assert kie("GET", "/api/v1/chat/credit").json()["data"] == before
    control.set_limits(on=False)
    assert kie("POST", "/api/v1/jobs/createTask", bad).json()["code"] == 422


def test_create_task_planned_failure_ends_in_state_fail(kie, seed, control):
    control.plan_fault("kie", "render_fail", match="doomed")
    ref = kie("POST", "/api/v1/jobs/createTask", task(seed, "a doomed ship")).json()["data"]["taskId"]
    record = f"/api/v1/jobs/recordInfo?taskId={ref}"
    eventually(lambda: kie("GET", record).json()["data"]["state"] == "fail")
    data = kie("GET", record).json()["data"]
    assert data["failMsg"]
    assert data["resultJson"] == ""
    assert data["consumeCredits"] == 0


def test_create_task_passes_through_the_states(kie, seed, control):
    control.set_pace(render=3)
    ref = kie("POST", "/api/v1/jobs/createTask", task(seed)).json()["data"]["taskId"]
    states = []

    def done():
        state = kie("GET", f"/api/v1/jobs/recordInfo?taskId={ref}").json()["data"]["state"]
        states.extend([] if state in states else [state])
        return state == "success"

    eventually(done)
    assert states == ["waiting", "queuing", "generating", "success"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"duration": 10}, 422),
        ({"image_url": "file:///etc/passwd"}, 422),
        ({"prompt": "x" * 2501}, 422),
        ({"negative_prompt": "x" * 2497}, 422),
        ({"cfg_scale": 1.1}, 422),
        ({"cfg_scale": "0.5"}, 422),
    ],
)
def test_create_task_refuses_inside_http_200(kie, seed, control, change, code):
    body = task(seed)
    body["input"] |= change
    answer = kie("POST", "/api/v1/jobs/createTask", body)
    assert (answer.status_code, answer.json()["code"]) == (200, code)
    assert not control.calls("kie", "createTask")[-1]["accepted"]


def test_create_task_wrong_key_and_empty_account(kie, seed, control):
    assert kie("POST", "/api/v1/jobs/createTask", task(seed), key="wrong").json()["code"] == 401
    control.set_credits(10)
    assert kie("POST", "/api/v1/jobs/createTask", task(seed)).json()["code"] == 402
    control.set_credits(100_000)


@pytest.mark.parametrize("seed", ["KIE_UPLOAD_URL", "SANDBOX_CONTROL_URL"])
def test_create_task_missing_or_unreadable_seed_fails_and_gives_credits_back(kie, addresses, seed):
    before = kie("GET", "/api/v1/chat/credit").json()["data"]
    gone = f"{addresses[seed]}/"
    ref = kie("POST", "/api/v1/jobs/createTask", task(gone)).json()["data"]["taskId"]
    eventually(lambda: kie("GET", f"/api/v1/jobs/recordInfo?taskId={ref}").json()["data"]["state"] == "fail")
    assert kie("GET", "/api/v1/chat/credit").json()["data"] == before


@pytest.mark.parametrize(
    ("content", "why"), [(b"\x89PNG" + bytes(10_000_000), "exceeds 10 MB"), (b"RIFF\0\0\0\0WEBP", "JPEG nor PNG")]
)
def test_create_task_fails_on_a_seed_that_the_model_does_not_take(kie, addresses, content, why):
    files, form = {"file": ("seed.png", content)}, {"uploadPath": "seeds", "fileName": f"{os.urandom(4).hex()}.png"}
    upload = f"{addresses['KIE_UPLOAD_URL']}/api/file-stream-upload"
    head = {"Authorization": f"Bearer {KEY}"}
    url = requests.post(upload, files=files, data=form, headers=head, timeout=10).json()["data"]["downloadUrl"]
    ref = kie("POST", "/api/v1/jobs/createTask", task(url)).json()["data"]["taskId"]

    def record():
        return kie("GET", f"/api/v1/jobs/recordInfo?taskId={ref}").json()["data"]

    eventually(lambda: record()["state"] == "fail")
    assert why in record()["failMsg"]


def test_record_info_unknown_task(kie):
    assert kie("GET", "/api/v1/jobs/recordInfo?taskId=nope").json() == {
        "code": 422,
        "msg": "recordInfo is null",
        "data": None,
    }


def test_catbox_upload_answers_plain_text(addresses):
    files = {"fileToUpload": ("seed.png", b"bytes of a picture")}
    answer = requests.post(addresses["CATBOX_URL"], data={"reqtype": "fileupload"}, files=files, timeout=5)
    assert answer.text.startswith("http://127.0.0.1")
    assert answer.text.endswith(".png")
    assert requests.get(answer.text, timeout=5).content == b"bytes of a picture"
    assert requests.post(addresses["CATBOX_URL"], data={"reqtype": "fileupload"}, timeout=5).status_code == 412
