"""slack_sdk's webhook client, as Slack ships it, against the sandbox. It raises on no status."""

import pytest
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from slack_sdk.webhook import WebhookClient

BLOCK = {"type": "section", "text": {"type": "mrkdwn", "text": "*Upload failed*"}}


@pytest.fixture
def slack(addresses):
    return WebhookClient(addresses["SLACK_WEBHOOK_URL"], timeout=5)


def test_send_text_and_blocks(slack, control):
    answer = slack.send(text="Upload failed", blocks=[BLOCK])
    assert (answer.status_code, answer.body) == (200, "ok")
    assert control.calls("slack")[-1]["text"] == "Upload failed"


@pytest.mark.parametrize(
    ("message", "status", "words"),
    [({}, 400, "no_text"), ({"blocks": [BLOCK] * 51}, 400, "invalid_blocks")],
)
def test_send_is_refused_in_plain_text(slack, message, status, words):
    answer = slack.send(**message)
    assert (answer.status_code, answer.body) == (status, words)


def test_send_to_a_webhook_that_is_gone(addresses):
    answer = WebhookClient(addresses["SLACK_WEBHOOK_URL"].replace("sandbox-hook", "gone")).send(text="A")
    assert (answer.status_code, answer.body) == (404, "no_service")


def test_send_rate_limited_is_sent_again_after_the_time_asked(slack, control):
    control.plan_fault("slack", "quota", seconds=1)
    before = len(control.calls("slack"))
    assert slack.send(text="A").status_code == 429
    slack.retry_handlers.append(RateLimitErrorRetryHandler(max_retry_count=1))
    control.plan_fault("slack", "quota", seconds=1)
    answer = slack.send(text="B")
    assert (answer.status_code, answer.body) == (200, "ok")
    calls = control.calls("slack")[before:]
    assert [call["status"] for call in calls] == [429, 429, 200]
    assert calls[2]["at"] - calls[1]["at"] >= 1, "Retry-After was read"


def test_limits_take_one_message_a_second(slack, control):
    control.set_limits(on=True)
    answers = [slack.send(text="A") for _ in range(3)]
    first, *others = [answer.status_code for answer in answers]
    assert first == 200
    assert 429 in others
    assert all(answer.headers["Retry-After"] == "1" for answer in answers if answer.status_code == 429)
