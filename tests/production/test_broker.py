"""A ring is heard at its commit, once however often it was rung, and by one worker, whoever of them dies."""

import datetime as dt
from collections.abc import Iterator

import pytest
from django.db import OperationalError, transaction
from django.utils import timezone
from django_q.models import Failure, OrmQ
from pytest_django import Settings

from production import broker
from production.broker import Delivery, PostgresBroker, ring
from production.models import Job
from tests.rings import rings

JOB = "production.jobs.work"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def workers() -> Iterator[list[PostgresBroker]]:
    """Two, each with a session of its own."""
    found = [PostgresBroker("calls"), PostgresBroker("calls")]
    yield found
    for one in found:
        end(one)


def end(worker: PostgresBroker) -> None:
    """As its death ends its session."""
    if worker._session:
        worker._session.close()


def taken(worker: PostgresBroker) -> list[Delivery]:
    return [delivery for delivery, _ in worker.dequeue()]


def test_ring_is_heard_at_its_commit_and_never_after_a_rollback(workers):
    one, _ = workers
    with transaction.atomic():
        ring(JOB, "images")
        assert taken(one) == []
    assert len(taken(one)) == 1
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        ring(JOB, "images")
        _ = 1 / 0
    assert taken(one) == []


def test_ring_wakes_the_one_who_waits(workers, monkeypatch):
    """A wait in vain would take so long that the test is ended."""
    one, _ = workers
    monkeypatch.setattr(broker, "FALLBACK", 1000.0)
    with transaction.atomic():
        ring(JOB, "images")
        ring(JOB, "video", cluster="cpu")
    assert len(taken(one)) == 1
    ring(JOB, "images")
    assert len(taken(one)) == 1
    ring(JOB, "images")
    Job.objects.all().delete()
    assert taken(one) == []


def test_equal_rings_are_one_job_but_not_with_one_that_is_worked_on(workers):
    one, other = workers
    for lane in ("images", "images", "video", "images"):
        ring(JOB, lane)
    assert len(taken(one)) == 1
    assert rings("calls") == [(JOB, ("images",)), (JOB, ("video",))]
    ring(JOB, "images")
    assert len(taken(other)) == 1
    assert len(taken(other)) == 1
    assert broker.in_line("calls") == 0
    assert PostgresBroker("calls").lock_size() == 3


def test_ring_that_commits_after_an_equal_one_was_taken_is_not_lost(workers):
    one, other = workers
    ring(JOB, "images")
    with transaction.atomic():
        ring(JOB, "images")
        assert len(taken(one)) == 1
    assert len(taken(other)) == 1


def test_acknowledge_is_void_for_a_job_that_was_handed_out_again(workers):
    one, other = workers
    ring(JOB, "images")
    (late,) = taken(one)
    end(one)
    (again,) = taken(other)
    one.acknowledge(late)
    assert Job.objects.exists()
    one.acknowledge(again)
    assert not Job.objects.exists()


def test_job_of_a_dead_worker_is_the_next_ones_until_it_is_buried(workers, monkeypatch):
    monkeypatch.setattr(broker, "FALLBACK", 0.01)
    _, other = workers
    ring(JOB, "images")
    for _ in range(3):
        doomed = PostgresBroker("calls")
        while not taken(doomed):
            pass
        assert taken(other) == []
        end(doomed)
    while not Failure.objects.exists():
        assert taken(other) == []
    failure = Failure.objects.get()
    assert (failure.func, failure.cluster, failure.attempt_count) == (f"{JOB}('images',)", "calls", 3)
    assert not Job.objects.exists()


def test_forget_stale_keeps_what_is_young_or_worked_on(workers):
    one, _ = workers
    for lane in ("images", "video", "voice"):
        ring(JOB, lane)
    taken(one)
    old = timezone.now() - dt.timedelta(hours=2)
    Job.objects.filter(call__contains="voice").update(created=old)
    Job.objects.filter(call__contains="images").update(created=old)
    broker.forget_stale(dt.timedelta(hours=1))
    assert rings() == [(JOB, ("images",)), (JOB, ("video",))]


def test_ring_with_the_stock_broker_is_enqueued_after_the_commit(settings: Settings):
    settings.QUEUE_BROKER = "orm"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django_q.conf.Conf.BROKER_CLASS", None)
        with transaction.atomic():
            ring(JOB, "images", cluster="cpu")
            assert not OrmQ.objects.exists()
        assert broker.in_line("cpu") == 1
    assert OrmQ.objects.get().args() == ("images",)


def test_queue_can_be_emptied():
    ring(JOB, "images")
    ring(JOB, "images", cluster="cpu")
    PostgresBroker("cpu").delete_queue()
    assert broker.in_line("cpu") == 0
    assert PostgresBroker("calls").queue_size() == 1


def test_line_has_its_own_address(settings: Settings, workers):
    one, _ = workers
    settings.LISTEN_DATABASE_URL = "postgres://nobody@127.0.0.1:1/nothing"
    with pytest.raises(OperationalError, match="refused"):
        one.dequeue()
