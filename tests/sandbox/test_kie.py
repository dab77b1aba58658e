import io
import json
import os

import av
import pytest
import requests
from PIL import Image, ImageChops, ImageStat

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
    ],
)
def test_create_task_refuses_inside_http_200(kie, seed, control, change, code):
    body = task(seed)
    body["input"] |= change
    answer = kie("POST", "/api/v1/jobs/createTask", body)
    assert (answer.status_code, answer.json()["code"]) == (200, code)
    assert not control.calls("kie")[-1]["accepted"]


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
