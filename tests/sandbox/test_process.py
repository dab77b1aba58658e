"""What holds for the process as a whole: restarts, faults, paces, the books."""

import signal
import subprocess
import sys
import time

import pytest
import requests

from sandbox.client import ControlError
from sandbox.faults import KINDS
from tests import ROOT
from tests.media import picture
from tests.sandboxes import KEY, Process, make_board
from tests.vendor import listening
from tests.waiting import eventually

JOB = {"model": "kling/v2-5-turbo-image-to-video-pro"}


def post(addresses, name, path, body):
    heads = {"Authorization": f"Bearer {KEY}", "x-goog-api-key": KEY}
    return requests.post(addresses[name] + path, json=body, headers=heads, timeout=10)


def test_restart_after_sigkill_keeps_ports_books_and_unfinished_work(tmp_path):
    process = Process(tmp_path / "state")
    with listening(500, 500, 200) as listener:
        seed = f"{process.addresses['CATBOX_URL']}"
        files = {"fileToUpload": ("seed.png", picture((64, 36)))}
        url = requests.post(seed, data={"reqtype": "fileupload"}, files=files, timeout=5).text
        process.client.set_pace(render=0.5)
        given = {"prompt": "a hill", "image_url": url, "duration": "5"}
        body = JOB | {"input": given, "callBackUrl": f"{listener.url}/done"}
        ref = post(process.addresses, "KIE_BASE_URL", "/api/v1/jobs/createTask", body).json()["data"]["taskId"]
        token, _ = process.client.subscribe(listener.url)
        process.client.verify(token)
        page = process.client.create_page(make_board(process.client, "One"), {"Title": "Kept"})
        process.client.plan_fault("slack", "delay", seconds=0)
        before = process.addresses
        process.end(signal.SIGKILL)

        process.start()
        assert process.addresses == before
        assert process.client.page(page["id"])["properties"]["Title"] == "Kept"
        assert [call["ref"] for call in process.client.paid("kie")] == [ref]
        eventually(lambda: process.client.jobs()[0]["state"] == "success")
        eventually(lambda: "/done" in [call.path for call in listener.calls])
        eventually(lambda: any(b"page.created" in call.body for call in listener.calls))
    assert process.end() == 0


def test_start_busy_port_is_one_line(process, tmp_path):
    (tmp_path / "addresses.json").write_text((process.state / "addresses.json").read_text())
    command = [sys.executable, "-m", "sandbox", "--state", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "is taken" in done.stderr


def test_slack_message_is_kept(addresses, control):
    answer = requests.post(addresses["SLACK_WEBHOOK_URL"], json={"text": "Upload failed"}, timeout=5)
    assert (answer.status_code, answer.text) == (200, "ok")
    assert control.calls("slack")[-1]["text"] == "Upload failed"
    assert requests.post(addresses["SLACK_WEBHOOK_URL"], json={}, timeout=5).text == "no_text"
    assert requests.post(addresses["SLACK_WEBHOOK_URL"], data="{", timeout=5).text == "invalid_payload"


def test_fault_status_is_answered_as_given_and_counts_down(addresses, control):
    control.plan_fault("slack", "status", times=2, status=503, body="rollup_error", headers={"Retry-After": "9"})
    answers = [requests.post(addresses["SLACK_WEBHOOK_URL"], json={"text": "x"}, timeout=5) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].headers["Retry-After"] == "9"
    assert [call["accepted"] for call in control.calls("slack")[-3:]] == [False, False, True]


def test_fault_delay_waits(addresses, control):
    control.plan_fault("slack", "delay", seconds=0.3)
    start = time.monotonic()
    requests.post(addresses["SLACK_WEBHOOK_URL"], json={"text": "x"}, timeout=5)
    assert time.monotonic() - start >= 0.3


def test_fault_drop_does_nothing(addresses, control):
    control.plan_fault("slack", "drop")
    with pytest.raises(requests.ConnectionError):
        requests.post(addresses["SLACK_WEBHOOK_URL"], json={"text": "never"}, timeout=5)
    assert control.calls("slack")[-1]["text"] == ""


@pytest.mark.parametrize(
    ("vendor", "kind", "message"),
    [("amazon", "status", "vendor must be one of"), ("kie", "explode", "kind must be one of")],
)
def test_fault_that_makes_no_sense_is_refused(control, vendor, kind, message):
    with pytest.raises(ControlError, match=message):
        control.plan_fault(vendor, kind)


def test_pace_unknown_is_refused(control):
    with pytest.raises(ControlError, match="none of instant, fast, real"):
        control.set_pace("breakneck")
    with pytest.raises(ControlError, match="pace has no speed"):
        control.set_pace(speed=1)


def test_summary_adds_up(addresses, control):
    lines = control.summary()
    assert control.spent_usd() == pytest.approx(sum(line["usd"] for line in lines))


def test_connections_are_kept_open(addresses):
    with requests.Session() as session:
        for _ in range(3):
            session.post(addresses["SLACK_WEBHOOK_URL"], json={"text": "x"}, timeout=5)
        (pool,) = session.get_adapter(addresses["SLACK_WEBHOOK_URL"]).poolmanager.pools._container.values()
        assert (pool.num_connections, pool.num_requests) == (1, 3)


def test_docs_name_every_kind_of_fault_and_every_address(process):
    page = (ROOT / "docs" / "sandbox.md").read_text()
    assert [word for word in [*KINDS, *process.addresses] if f"`{word}`" not in page] == []
