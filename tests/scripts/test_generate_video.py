import json
from contextlib import closing

import pytest
from PIL import Image

from tests.vendor import Vendor

UPLOAD, CREATE, RECORD = "/api/file-stream-upload", "/api/v1/jobs/createTask", "/api/v1/jobs/recordInfo"


@pytest.fixture
def seed(media):
    return media / "seed.png"


@pytest.fixture
def kie(vendor, media):
    """KIE as it is on a good day: everything but recordInfo is answered."""
    address = {"success": True, "code": 200, "data": {"downloadUrl": vendor.url + "/seed.png"}}
    vendor.say(UPLOAD, address)
    vendor.say("/clip.mp4", (media / "clip.mp4").read_bytes())
    return vendor


def record(state, **data):
    return {"code": 200, "msg": "success", "data": {"taskId": "t1", "state": state, **data}}


def success(vendor, **data):
    result = json.dumps({"resultUrls": [vendor.url + "/clip.mp4"]})
    return record("success", resultJson=result, **data)


def created(vendor, ref="t1"):
    vendor.say(CREATE, {"code": 200, "msg": "success", "data": {"taskId": ref}})


def paid_calls(vendor):
    return [call for call in vendor.calls if call.path == CREATE]


def test_generate_video_blocks_until_its_clip_is_there(run, kie, seed, tmp_path):
    created(kie)
    kie.say(RECORD, record("queuing"))
    kie.say(RECORD, success(kie, consumeCredits=84))
    quick = {"KIE_FIRST_POLL_SECONDS": 0.1}
    outcome = run(
        "generate_video.py", "--image", seed, "--prompt", "Lift the lamp", "--output", tmp_path / "v.mp4", **quick
    )
    assert (outcome.code, outcome.names) == (0, ["started", "sending", "submitted", "cost"])
    assert (outcome.the("cost")["units"], outcome.the("cost")["usd"]) == (84, 0.42)
    assert (tmp_path / "v.mp4").stat().st_size > 1000
    sent = paid_calls(kie)[0].json()
    assert sent["model"] == "kling/v2-5-turbo-image-to-video-pro"
    assert sent["input"] == {"prompt": "Lift the lamp", "image_url": kie.url + "/seed.png", "duration": "10"}


def test_submit_prints_the_ref_and_passes_the_callback(run, kie, seed, tmp_path):
    created(kie, "t9")
    callback = "https://example.test/hook/very-secret"
    for _ in range(2):
        flags = ("--image", seed, "--prompt", "Lift", "--output", tmp_path / "v.mp4")
        outcome = run("generate_video.py", *flags, PHASE="submit", CALLBACK_URL=callback)
        assert (outcome.code, outcome.the("submitted")["ref"]) == (0, "t9")
        assert "very-secret" not in outcome.stdout
    assert paid_calls(kie)[0].json()["callBackUrl"] == callback
    assert not (tmp_path / "v.mp4").exists()
    uploads = [call.body for call in kie.calls if call.path == UPLOAD]
    names = {body.split(b'name="fileName"')[1].split()[0] for body in uploads}
    assert len(names) == 2, "the same name would be answered from a cache"


def test_submit_makes_a_seed_that_is_too_heavy_smaller(run, kie, tmp_path):
    created(kie)
    Image.effect_noise((4000, 4000), 200).convert("RGB").save(tmp_path / "heavy.png", compress_level=0)
    flags = ("--image", tmp_path / "heavy.png", "--prompt", "Lift", "--output", tmp_path / "v.mp4")
    assert run("generate_video.py", *flags, PHASE="submit").code == 0
    (upload,) = [call for call in kie.calls if call.path == UPLOAD]
    assert b"\xff\xd8\xff" in upload.body
    assert len(upload.body) < 10_000_000, "KIE takes no larger seed"


def test_submit_by_catbox_accepts_only_an_address(run, kie, seed, tmp_path):
    created(kie)
    kie.say("/user/api.php", b"Invalid uploader")
    kie.say("/user/api.php", b"http://127.0.0.1/files/abc.png\n")
    command = ("generate_video.py", "--image", seed, "--prompt", "Lift", "--output", tmp_path / "v.mp4")
    extra = {"PHASE": "submit", "SEED_UPLOAD": "catbox", "CATBOX_URL": kie.url + "/user/api.php"}
    refused = run(*command, **extra)
    assert (refused.code, refused.names) == (1, ["started", "error"])
    assert run(*command, **extra).code == 0
    assert paid_calls(kie)[0].json()["input"]["image_url"] == "http://127.0.0.1/files/abc.png"


def test_submit_by_a_signed_address_puts_the_image_there_first(run, kie, seed, tmp_path):
    created(kie)
    kie.say("/bucket/seed.png", status=503)
    kie.say("/bucket/seed.png")
    flags = ("--image", seed, "--prompt", "Lift", "--output", tmp_path / "v.mp4")
    signed = kie.url + "/bucket/seed.png?X-Amz-Signature="
    extra = {"PHASE": "submit", "SEED_UPLOAD": "signed", "SEED_PUT_URL": signed + "put", "SEED_URL": signed + "get"}
    outcome = run("generate_video.py", *flags, **extra)
    assert (outcome.code, signed in outcome.stdout) == (0, False)
    puts = [call for call in kie.calls if call.path.startswith("/bucket")]
    assert [(call.method, call.path, call.body == seed.read_bytes()) for call in puts] == [
        ("PUT", "/bucket/seed.png?X-Amz-Signature=put", True)
    ] * 2
    assert puts[0].headers["content-type"] == "image/png"
    assert "authorization" not in puts[0].headers, "the key is KIE's"
    assert paid_calls(kie)[0].json()["input"]["image_url"] == signed + "get"


def test_submit_by_a_signed_address_alone_uploads_nothing(run, kie, seed, tmp_path):
    created(kie)
    flags = ("--image", seed, "--prompt", "Lift", "--output", tmp_path / "v.mp4")
    url = "https://studio.example/media/signed/word/seed.png"
    assert run("generate_video.py", *flags, PHASE="submit", SEED_UPLOAD="signed", SEED_URL=url).code == 0
    assert [call.path for call in kie.calls] == [CREATE]
    assert paid_calls(kie)[0].json()["input"]["image_url"] == url


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        ({"SEED_UPLOAD": "pigeon"}, "SEED_UPLOAD"),
        ({"SEED_UPLOAD": "signed"}, "SEED_URL"),
        ({"SEED_UPLOAD": "signed", "SEED_URL": "s3://bucket/x"}, "SEED_URL"),
        ({"SEED_UPLOAD": "signed", "SEED_URL": "https://a.example/x", "SEED_PUT_URL": "nowhere"}, "SEED_PUT_URL"),
        ({"KIE_UPLOAD_URL": "ftp://a.example"}, "KIE_UPLOAD_URL"),
    ],
)
def test_submit_with_a_way_of_upload_that_makes_no_sense(run, kie, seed, tmp_path, environment, word):
    flags = ("--image", seed, "--prompt", "Lift", "--output", tmp_path / "v.mp4")
    outcome = run("generate_video.py", *flags, PHASE="submit", **environment)
    assert (outcome.code, outcome.names, outcome.the("error")["kind"]) == (1, ["started", "error"], "permanent")
    assert word in outcome.the("error")["message"]
    assert kie.calls == []


def test_submit_by_a_signed_address_that_refuses_the_image(run, kie, seed, tmp_path):
    kie.say("/bucket", b"<Error>AccessDenied</Error>", status=403)
    flags = ("--image", seed, "--prompt", "Lift", "--output", tmp_path / "v.mp4")
    extra = {"SEED_UPLOAD": "signed", "SEED_PUT_URL": kie.url + "/bucket", "SEED_URL": kie.url + "/bucket"}
    outcome = run("generate_video.py", *flags, PHASE="submit", **extra)
    assert (outcome.code, outcome.the("error")["kind"], outcome.all("sending")) == (1, "permanent", [])
    assert "SEED_PUT_URL: the image was not taken (HTTP 403)" in outcome.the("error")["message"]


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (401, "You do not have access permissions", "permanent"),
        (402, "Credits insufficient", "quota"),
        (408, "Upstream timed out", "unknown"),
        (422, "duration is not within the range of allowed options", "permanent"),
        (422, "The prompt violates our content policy", "refused"),
        (429, "Too many requests", "transient"),
        (433, "Sub-key limit", "quota"),
        (455, "Maintenance", "transient"),
        (500, "Internal error", "transient"),
        (505, "Feature disabled", "permanent"),
    ],
)
def test_submit_reads_business_errors_inside_200(run, kie, seed, tmp_path, code, message, kind):
    kie.say(CREATE, {"code": code, "msg": message, "data": None})
    flags = ("--image", seed, "--prompt", "Lift", "--output", tmp_path / "v.mp4")
    outcome = run("generate_video.py", *flags, PHASE="submit")
    assert (outcome.code, outcome.names[-2:], outcome.the("error")["kind"]) == (1, ["sending", "error"], kind)
    assert message in outcome.the("error")["message"]
    assert len(paid_calls(kie)) == 1


def test_submit_reports_a_lost_reply_as_unknown_and_never_resends(run, kie, seed, tmp_path):
    kie.say(CREATE, lost=True)
    flags = ("--image", seed, "--prompt", "Lift", "--output", tmp_path / "v.mp4")
    outcome = run("generate_video.py", *flags, PHASE="submit")
    assert (outcome.the("error")["kind"], len(paid_calls(kie))) == ("unknown", 1)


def test_submit_retries_the_free_upload_only(run, vendor, seed, tmp_path):
    vendor.say(UPLOAD, lost=True)
    vendor.say(UPLOAD, {"success": True, "code": 200, "data": {"downloadUrl": vendor.url + "/seed.png"}})
    created(vendor)
    flags = ("--image", seed, "--prompt", "Lift", "--output", tmp_path / "v.mp4")
    assert run("generate_video.py", *flags, PHASE="submit").code == 0
    assert [call.path for call in vendor.calls] == [UPLOAD, UPLOAD, CREATE]


def test_submit_refuses_an_address_that_is_not_http(run, vendor, seed, tmp_path):
    vendor.say(UPLOAD, {"success": True, "code": 200, "data": {"downloadUrl": "file:///etc/passwd"}})
    outcome = run("generate_video.py", "--image", seed, "--prompt", "L", "--output", tmp_path / "v.mp4", PHASE="submit")
    assert (outcome.code, outcome.all("sending")) == (1, [])


def test_submit_refuses_bad_input_before_paying(run, kie, seed, tmp_path):
    for image, prompt, word in ((seed, "x" * 2501, "2501"), (tmp_path / "absent.png", "x", "absent.png")):
        outcome = run(
            "generate_video.py", "--image", image, "--prompt", prompt, "--output", tmp_path / "v", PHASE="submit"
        )
        assert (outcome.code, outcome.all("sending")) == (1, [])
        assert word in outcome.the("error")["message"]
    assert (
        run("generate_video.py", "--image", seed, "--output", tmp_path / "v").the("error")["message"]
        == "--prompt missing"
    )


def test_poll_prints_one_state_for_each_ref(run, vendor):
    vendor.say(RECORD + "?taskId=a", record("waiting"))
    vendor.say(RECORD + "?taskId=b", success(vendor))
    vendor.say(RECORD + "?taskId=c", record("fail", failCode="422", failMsg="sensitive content", consumeCredits=0))
    vendor.say(RECORD + "?taskId=d", {"code": 422, "msg": "recordInfo is null"})
    vendor.say(RECORD + "?taskId=e", {"code": 455, "message": "maintenance"})
    vendor.say(RECORD + "?taskId=f", record("fail", failCode=None, failMsg=None))
    outcome = run("generate_video.py", PHASE="poll", REFS="a,b,c,d,e,f")
    states = {entry["ref"]: (entry["state"], entry.get("kind")) for entry in outcome.all("state")}
    assert outcome.code == 0
    assert states == {
        "a": ("generating", None),
        "b": ("success", None),
        "c": ("fail", "refused"),
        "d": ("fail", "unknown"),
        "e": ("unreachable", "transient"),
        "f": ("fail", "transient"),
    }
    assert outcome.all("sending") == []


NESTED = b"[" * 100_000  # deeper than Python reads


@pytest.mark.parametrize(
    ("odd", "state", "kind"),
    [
        (NESTED, "unreachable", "transient"),
        (b'{"code": Infinity}', "unreachable", "transient"),
        (record(["success"]), "unreachable", "transient"),
        (record({}), "unreachable", "transient"),
        (record("fail", failCode="inf", consumeCredits=-5), "fail", "transient"),
        (record("fail", failCode=float("nan"), consumeCredits=float("nan")), "fail", "transient"),
        (record("success", resultJson=NESTED.decode(), consumeCredits="84"), "success", None),
    ],
    ids=["nested", "infinite code", "list of states", "no state", "owes us", "not a number", "nested result"],
)
def test_poll_is_not_spoiled_by_one_odd_answer(run, vendor, odd, state, kind):
    vendor.say(RECORD + "?taskId=a", odd)
    vendor.say(RECORD + "?taskId=b", record("waiting"))
    outcome = run("generate_video.py", PHASE="poll", REFS="a,b")
    first, second = outcome.all("state")
    assert (outcome.code, outcome.stderr, second["state"]) == (0, "", "generating")
    assert (first["state"], first.get("kind")) == (state, kind)
    assert first.get("units", 84) == 84


@pytest.mark.parametrize("odd", [NESTED, b'{"code": NaN, "msg": "x"}', b'{"code": 1e400}'])
def test_submit_that_is_answered_oddly_may_have_been_taken(run, kie, seed, tmp_path, odd):
    kie.say(CREATE, odd)
    outcome = run("generate_video.py", "--image", seed, "--prompt", "L", "--output", tmp_path / "v.mp4", PHASE="submit")
    assert (outcome.code, outcome.stderr, outcome.the("error")["kind"]) == (1, "", "unknown")


@pytest.mark.parametrize("way", ["at once", "by a redirect"])
def test_collect_does_not_look_around_in_our_network(run, vendor, media, tmp_path, way):
    """Whoever answers for KIE says where the clip is; only its own address may be one of ours."""
    with closing(Vendor()) as inside:
        inside.say("/clip.mp4", (media / "clip.mp4").read_bytes())
        place = inside.url + "/clip.mp4"
        if way == "by a redirect":
            vendor.say("/clip.mp4", status=302, headers={"Location": place})
            place = vendor.url + "/clip.mp4"
        vendor.say(RECORD, record("success", resultJson=json.dumps({"resultUrls": [place]})))
        outcome = run("generate_video.py", "--output", tmp_path / "v.mp4", PHASE="collect", REF="t1")
        assert not inside.calls
    assert (outcome.code, outcome.the("error")["kind"]) == (1, "permanent")
    assert "leads into a private network" in outcome.the("error")["message"]
    assert not (tmp_path / "v.mp4").exists()


def test_collect_of_an_address_that_is_no_name_is_tried_again(run, vendor, tmp_path):
    vendor.say(RECORD, record("success", resultJson=json.dumps({"resultUrls": ["http://a..b/clip.mp4"]})))
    outcome = run("generate_video.py", "--output", tmp_path / "v.mp4", PHASE="collect", REF="t1")
    assert (outcome.code, outcome.stderr, outcome.the("error")["kind"]) == (1, "", "transient")


def test_collect_takes_no_playlist_for_a_clip(run, vendor, media, tmp_path):
    """ffmpeg would open the file that it names, wherever that is."""
    dash = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S"'
        ' profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" minBufferTime="PT1S"><Period><AdaptationSet'
        ' mimeType="video/mp4"><Representation id="1" bandwidth="1000" codecs="avc1.640028" width="320" height="240">'
        f"<BaseURL>{media / 'clip.mp4'}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    vendor.say("/clip.mp4", dash.encode())
    vendor.say(RECORD, success(vendor))
    outcome = run("generate_video.py", "--output", tmp_path / "v.mp4", PHASE="collect", REF="t1")
    assert (outcome.code, (tmp_path / "v.mp4").exists()) == (1, False)


def test_collect_downloads_again_after_a_broken_download(run, vendor, media, tmp_path):
    vendor.say(RECORD, success(vendor))
    vendor.say("/clip.mp4", (media / "clip.mp4").read_bytes()[:5000], cut=True)
    vendor.say("/clip.mp4", (media / "clip.mp4").read_bytes())
    outcome = run("generate_video.py", "--output", tmp_path / "v.mp4", PHASE="collect", REF="t1")
    assert (outcome.code, outcome.names) == (0, ["started", "cost"])
    assert outcome.the("cost")["estimated"] is True
    assert (tmp_path / "v.mp4").read_bytes() == (media / "clip.mp4").read_bytes()
    assert "authorization" not in vendor.calls[-1].headers


@pytest.mark.parametrize(
    ("answer", "clip", "kind"),
    [
        (record("generating"), b"", "transient"),
        (b"<html>We'll be back soon</html>", b"", "transient"),
        (record("fail", failCode="501", failMsg="generation failed"), b"", "transient"),
        (record("success", resultJson='{"resultUrls":["ftp://x/y"]}'), b"", "permanent"),
        (record("success", resultJson="not json"), b"", "permanent"),
        (None, b"<html>expired</html>", "permanent"),
    ],
)
def test_collect_leaves_no_file_when_there_is_no_clip(run, vendor, tmp_path, answer, clip, kind):
    vendor.say(RECORD, answer or success(vendor))
    vendor.say("/clip.mp4", clip)
    outcome = run("generate_video.py", "--output", tmp_path / "v.mp4", PHASE="collect", REF="t1")
    assert (outcome.code, outcome.the("error")["kind"]) == (1, kind)
    has_failed = isinstance(answer, dict) and answer["data"]["state"] == "fail"
    assert ("state" in outcome.names) is has_failed, "nothing is ever to be collected from such a job"
    assert list(tmp_path.iterdir()) == []
