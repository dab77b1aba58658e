"""What operators are told: one alert a cause, gathered, told again sparingly, over once; and how it gets there."""

import datetime as dt
import itertools
from collections.abc import Iterator

import pytest
from django.utils import timezone
from pytest_django import Settings

from production import alerts, decisions, flow, jobs, lifecycle, settling, sweep
from production.attempts import Outcome
from production.errors import Kind, Trouble
from production.models import Alert, Delivery, Take, Task
from production.stages import STAGE, Status, Verb
from production.transports import Transport, TransportError, transports
from sandbox.client import SandboxClient
from tests.factories import fresh, make_production, make_take, make_task
from tests.production.begun import advanced, claimed
from tests.production.beside import many
from tests.vendor import answering

pytestmark = pytest.mark.django_db
HOUR = dt.timedelta(hours=1)
ASSETS = STAGE["assets"]
SECRET = "https://hooks.slack.com/services/T0/B0/a-secret-part"


@pytest.fixture(autouse=True)
def slack(settings: Settings) -> Iterator[list[object]]:
    """Slack is on and takes everything; the calls it meets."""
    settings.ALERT_GATHER = dt.timedelta()
    with answering(200, b"ok") as (address, met):
        settings.SLACK_WEBHOOK_URL = address
        yield met


def fail(task: Task, error: str = "503: no capacity", kind: Kind = Kind.TRANSIENT) -> Task:
    """The stage's one image has failed for good."""
    take = make_take(task, "image", 1, state=Take.State.FAILED, error=error, error_kind=kind)
    own = task if kind == Kind.REFUSED else None
    cause = alerts.cause_of("assets", error, kind=kind, lane=take.lane_id, task=own)
    flow.fail(fresh(task), ASSETS, f"image 1: {error}", cause)
    return task


def running() -> Task:
    return make_task(Status.GENERATING_ASSETS)


def tell() -> list[str]:
    """What is due is told and delivered; the texts."""
    alerts.tell_what_is_due()
    texts = list(Delivery.objects.filter(due_at__lte=timezone.now()).values_list("text", flat=True))
    for pk in alerts.due():
        jobs.deliver(pk)
    return texts


# ---------------------------------------------------------------- one a cause


def test_tasks_that_fail_for_one_reason_are_one_alert():
    tasks = [fail(running(), f"503: no capacity for request {number}") for number in range(7)]
    (alert,) = Alert.objects.all()
    assert alert.tasks.count() == 7
    (text,) = tell()
    assert text.startswith(f"🔴 ERROR {tasks[0].channel}: “{tasks[0]}” stopped in Assets: image 1: 503: no capacity")
    assert "7 tasks: " in text
    assert " and 2 more" in text
    assert text.endswith("/admin/production/alert/")


def test_another_reason_is_another_alert():
    fail(running())
    fail(running(), "401: the key is wrong")
    assert Alert.objects.count() == 2


def test_a_refusal_is_its_tasks_own():
    for _ in range(2):
        fail(running(), "moderation", Kind.REFUSED)
    assert Alert.objects.count() == 2
    links = [f"/task/{alert.tasks.get().pk}/review/" for alert in Alert.objects.order_by("pk")]
    assert all(link in text for link, text in zip(links, tell(), strict=True))


def test_raise_alarm_by_two_at_once_is_one_alert(transactional_db):
    numbers = itertools.count()
    tasks = [running() for _ in range(4)]
    many(4, lambda: alerts.raise_alarm("down", cause="one", task=tasks[next(numbers)]))
    assert Alert.objects.get().tasks.count() == 4


def test_failures_gather_for_a_moment(settings: Settings):
    settings.ALERT_GATHER = dt.timedelta(seconds=10)
    fail(running())
    assert tell() == []
    assert Alert.objects.get().tell_at <= timezone.now() + dt.timedelta(seconds=10)


def test_who_joins_later_is_told_an_hour_later_at_most():
    fail(running())
    assert len(tell()) == 1
    fail(running())
    fail(running())
    assert tell() == []
    alert = Alert.objects.get()
    assert timezone.now() + 0.9 * HOUR < alert.tell_at <= timezone.now() + HOUR
    Alert.objects.update(tell_at=timezone.now())
    (text,) = tell()
    assert "3 tasks: " in text


def test_the_same_task_again_is_told_within_the_hour():
    task = fail(running())
    tell()
    alerts.raise_alarm("again", cause=Alert.objects.get().cause, task=task)
    alert = Alert.objects.get()
    assert alert.tell_at == alert.told + alerts.REMIND_AFTER


# ---------------------------------------------------------------- over


def pass_stage(task: Task) -> None:
    lifecycle.move(fresh(task), Verb.ADOPT, by="ada", stage=ASSETS)


def test_resumed_is_said_once_when_every_task_is_past_its_stage():
    first, second = fail(running()), fail(running())
    tell()
    pass_stage(first)
    alerts.close_what_is_over()
    assert Alert.objects.get().closed is None
    lifecycle.move(fresh(second), Verb.CANCEL, by="ada")
    alerts.close_what_is_over()
    alerts.close_what_is_over()
    assert Alert.objects.get().closed
    (text,) = tell()
    assert text.startswith("🟢 INFO ")
    assert "Resumed: " in text


def test_cancelled_tasks_close_their_alert_in_silence():
    task = fail(running())
    tell()
    lifecycle.move(fresh(task), Verb.CANCEL, by="ada")
    alerts.close_what_is_over()
    assert Alert.objects.get().closed
    assert tell() == []


def test_a_retry_that_fails_again_joins_the_open_alert():
    task = fail(running())
    tell()
    for verb in (Verb.RETRY, Verb.CLAIM, Verb.START):
        lifecycle.move(fresh(task), verb, by="ada", stage=None if verb == Verb.CLAIM else ASSETS)
    alerts.close_what_is_over()
    assert Alert.objects.get().closed is None
    alerts.raise_alarm("again", cause=Alert.objects.get().cause, task=task, stage="assets")
    assert Alert.objects.count() == 1
    assert tell() == []


def test_trouble_that_nobody_heard_of_ends_in_silence(settings: Settings):
    settings.ALERT_GATHER = HOUR
    alerts.raise_alarm("a moment only", cause="disk")
    alerts.resume("disk", "Resumed")
    assert Alert.objects.get().closed
    assert not Delivery.objects.exists()


def test_the_cause_comes_back_as_a_new_alert():
    for _ in range(2):
        alerts.raise_alarm("The disk is nearly full", cause="disk")
        assert len(tell()) == 1
        alerts.resume("disk", "Resumed: there is room")
        assert len(tell()) == 1
    assert Alert.objects.count() == 2


def test_tick_watches_the_disk(settings: Settings):
    settings.DISK_RESERVE = 10**18
    sweep.tick()
    assert Alert.objects.get().cause == "disk"
    settings.DISK_RESERVE = 0
    sweep.tick()
    assert Alert.objects.get().closed


# ---------------------------------------------------------------- delivered


@pytest.fixture
def delivery() -> Delivery:
    alerts.raise_alarm("“Bees” stopped <here> & now, @everyone", cause="x")
    alerts.tell_what_is_due()
    return Delivery.objects.get()


def test_deliver_to_slack_and_discord_and_by_mail(vendors: SandboxClient, process, settings: Settings, mailoutbox):
    settings.DISCORD_WEBHOOK_URL = process.addresses["DISCORD_WEBHOOK_URL"]
    settings.ALERT_EMAIL = ["ops@example.com"]
    before = {name: len(vendors.calls(name)) for name in ("slack", "discord")}
    alerts.raise_alarm("“Bees” stopped <here> & now\nsecond line", cause="x")
    tell()
    assert tell() == []
    assert set(Delivery.objects.values_list("transport", flat=True)) == {"slack", "discord", "email"}
    assert not Delivery.objects.filter(delivered=None).exists()
    told = {name: vendors.calls(name)[number:] for name, number in before.items()}
    assert [len(calls) for calls in told.values()] == [1, 1]
    assert "&lt;here&gt; &amp; now" in told["slack"][0]["text"]
    assert "<here> & now" in told["discord"][0]["text"]
    (mail,) = mailoutbox
    assert (mail.subject, mail.to) == ("🔴 ERROR “Bees” stopped <here> & now", ["ops@example.com"])


def test_deliver_twice_is_one_message(delivery, slack):
    jobs.deliver(delivery.pk)
    jobs.deliver(delivery.pk)
    assert len(slack) == 1
    assert fresh(delivery).delivered


def test_deliver_tries_again_and_gives_up(delivery, settings: Settings):
    with answering(500, b"rollup_error") as (address, met):
        settings.SLACK_WEBHOOK_URL = address
        for number in range(1, alerts.TRIES + 1):
            Delivery.objects.update(due_at=timezone.now())
            alerts.deliver(delivery.pk)
            assert fresh(delivery).tries == number
    assert len(met) == alerts.TRIES
    assert (delivery.delivered, delivery.due_at) == (None, None)
    assert delivery.trouble == "Slack answered 500: rollup_error"


def test_deliver_heeds_retry_after(delivery, settings: Settings):
    with answering(429, b"", Retry_After="120") as (address, _):
        settings.SLACK_WEBHOOK_URL = address
        alerts.deliver(delivery.pk)
    assert 110 < (fresh(delivery).due_at - timezone.now()).total_seconds() <= 120


@pytest.mark.parametrize(
    ("name", "status", "body"),
    [("slack", 404, b"no_service"), ("slack", 410, b""), ("discord", 404, b'{"code": 10015}')],
)
def test_deliver_to_a_webhook_that_is_gone_is_not_tried_again(settings: Settings, name, status, body):
    settings.SLACK_WEBHOOK_URL = ""
    with answering(status, body) as (address, met):
        setattr(settings, f"{name.upper()}_WEBHOOK_URL", address)
        alerts.raise_alarm("x", cause="x")
        tell()
        delivery = Delivery.objects.get()
        assert (delivery.due_at, len(met)) == (None, 1)
        assert "its webhook is gone, make a new one" in delivery.trouble


def test_deliver_to_discord_heeds_its_pause_and_mentions_nobody(settings: Settings):
    settings.SLACK_WEBHOOK_URL = ""
    with answering(429, b'{"retry_after": 64.5, "global": false}') as (address, met):
        settings.DISCORD_WEBHOOK_URL = address
        alerts.raise_alarm("@everyone " + "x" * 5000, cause="x")
        tell()
    body = met[0].json()
    assert body["allowed_mentions"] == {"parse": []}
    assert len(body["content"]) <= 2000
    assert 60 < (Delivery.objects.get().due_at - timezone.now()).total_seconds() <= 65


def test_deliver_to_discord_gives_no_link_another_name(settings: Settings):
    settings.SLACK_WEBHOOK_URL = ""
    with answering(204) as (address, met):
        settings.DISCORD_WEBHOOK_URL = address
        alerts.raise_alarm("“[Reconnect](https://evil.example)” \\[Now](https://evil.example)", cause="x")
        tell()
    content = met[0].json()["content"]
    assert r"“\[Reconnect](https://evil.example)”" in content
    assert r"\\\[Now](https://evil.example)" in content, "a backslash and a bracket, both of them only shown"


def test_deliver_where_nobody_answers(delivery, settings: Settings, dead_address: str):
    settings.SLACK_WEBHOOK_URL = dead_address
    alerts.deliver(delivery.pk)
    assert fresh(delivery).trouble == "Slack did not answer (ConnectionError)"


def test_deliver_by_a_mail_server_that_is_away(settings: Settings):
    settings.SLACK_WEBHOOK_URL = ""
    settings.ALERT_EMAIL = ["ops@example.com"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    alerts.raise_alarm("x", cause="x")
    tell()
    assert Delivery.objects.get().trouble == "The mail server did not take it (ConnectionRefusedError)"


@pytest.mark.parametrize(
    "url", ["https://evil.example/hook", "http://hooks.slack.com/x", "http://169.254.169.254/latest"]
)
def test_deliver_leads_to_slack_only(delivery, settings: Settings, url):
    settings.SLACK_WEBHOOK_URL = url
    alerts.deliver(delivery.pk)
    assert fresh(delivery).due_at is None
    assert "does not lead to https://hooks.slack.com" in delivery.trouble
    assert url not in delivery.trouble


def test_secret_of_the_webhook_is_in_no_row(delivery, settings: Settings, monkeypatch: pytest.MonkeyPatch):
    """The tests' network guard refuses the connection; its error names the address."""
    settings.SLACK_WEBHOOK_URL = SECRET
    with pytest.raises(TransportError) as error:
        transports()["slack"].send("x")
    assert "secret" not in str(error.value)
    assert error.value.__cause__ is None


def test_deliver_after_it_was_switched_off(delivery, settings: Settings):
    settings.SLACK_WEBHOOK_URL = ""
    alerts.deliver(delivery.pk)
    assert (fresh(delivery).due_at, delivery.trouble) == (None, "It is switched off by now")


def test_without_destinations_alerts_stay_in_the_admin(settings: Settings):
    settings.SLACK_WEBHOOK_URL = ""
    alerts.raise_alarm("x", cause="x")
    assert tell() == []
    assert Alert.objects.get().told


def test_second_failure_of_a_task_is_told():
    task = advanced(Status.GENERATING_AUDIO, clips=1, assets=2)
    for _ in range(2):
        settling.settle(claimed("voice"), Outcome(trouble=Trouble(Kind.PERMANENT, "the key is wrong")))
        assert Alert.objects.get().tell_at is not None
        Alert.objects.update(tell_at=None, told=timezone.now() - dt.timedelta(hours=3))
        decisions.retry(fresh(task), by="ada")
        flow.start_waiting(task.channel_id)


def test_alert_that_a_task_has_just_joined_is_not_closed():
    """The sweep had seen it over; before it closes, another task fails of the same cause."""
    first = make_production(Status.AUDIO_ERROR, failed="audio")
    alerts.raise_alarm("x", cause="c", task=first, stage="audio")
    seen = Alert.objects.get()
    lifecycle.move(first, Verb.ADOPT, by="ada", stage=STAGE["audio"])
    second = make_production(Status.AUDIO_ERROR, failed="audio")
    alerts.raise_alarm("x", cause="c", task=second, stage="audio")
    alerts._close_if_over(seen)
    assert Alert.objects.open().get().tasks.count() == 2
    lifecycle.move(second, Verb.ADOPT, by="ada", stage=STAGE["audio"])
    alerts.close_what_is_over()
    assert not Alert.objects.open().exists()


def test_delivery_that_breaks_is_given_up_in_the_end(monkeypatch):
    def send(text: str) -> None:
        raise ValueError("boom")

    monkeypatch.setattr(alerts, "transports", lambda: {"slack": Transport("slack", lambda: "x", send)})
    alert = Alert.objects.create(cause="x", message="x")
    delivery = Delivery.objects.create(alert=alert, transport="slack", level="error", text="x")
    for _ in range(alerts.TRIES):
        Delivery.objects.update(due_at=timezone.now())
        alerts.deliver(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.tries, delivery.due_at) == (alerts.TRIES, None)
    assert "boom" in delivery.trouble
