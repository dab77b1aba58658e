"""Who is next in a lane, also when 32 ask at once."""

import datetime as dt
import socket

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Model
from django.utils import timezone

from channels_app.models import Channel
from production import dispatch, holders, ledger, takes
from production.models import LedgerEntry, Priority, Provider, Take, Task
from production.stages import Status
from tests.factories import make_channel, make_take, make_task, reserve
from tests.production.beside import many
from tests.rings import rings

State = Take.State
HOUR = dt.timedelta(hours=1)


def make_waiting(count: int, kind: str = "image", task: Task | None = None) -> Task:
    task = task or make_task(Status.GENERATING_ASSETS)
    for position in range(1, count + 1):
        make_take(task, kind, position, state=State.WAITING)
    return task


# ---------------------------------------------------------------- at once


def test_claim_32_at_once_never_more_than_the_lane_holds(transactional_db):
    Provider.objects.filter(pk="images").update(concurrency=8)
    make_waiting(40)
    claimed = [take.pk for found in many(32, lambda: dispatch.claim("images", 1)) for take in found]
    assert len(claimed) == len(set(claimed)) == 8
    assert Take.objects.in_flight().count() == LedgerEntry.objects.count() == 8


def test_adopt_by_many_gives_each_orphan_one_holder(transactional_db):
    make_waiting(3)
    dispatch.claim("images", 3)
    Take.objects.update(lease_until=timezone.now())
    adopted = [take.pk for found in many(6, lambda: dispatch.adopt("images", 3)) for take in found]
    assert sorted(adopted) == sorted(Take.objects.values_list("pk", flat=True))


# ---------------------------------------------------------------- one by one


@pytest.mark.django_db
def test_claim_writes_the_intent_before_the_call():
    make_waiting(1)
    (take,) = dispatch.claim("images", 4)
    line = LedgerEntry.objects.get()
    assert (line.take, line.attempt, line.state) == (take, 1, LedgerEntry.State.RESERVED)
    assert line.intended_usd == ledger.intended(take) > 0
    assert line.actual_usd is None
    assert take.holder == holders.me()


@pytest.mark.django_db
def test_claim_free_work_leaves_the_ledger_alone():
    make_waiting(1, "composite", make_task(Status.GENERATING_COMPOSITES))
    assert dispatch.claim("ffmpeg", 1)
    assert not LedgerEntry.objects.exists()


@pytest.mark.django_db
def test_claim_refuses_a_second_line_for_the_same_attempt():
    make_waiting(1)
    (take,) = dispatch.claim("images", 1)
    with pytest.raises(IntegrityError), transaction.atomic():
        reserve(take)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "stop",
    [
        lambda: Provider.objects.update(paused=True),
        lambda: Channel.objects.update(active=False),
        lambda: Take.objects.update(due_at=timezone.now() + HOUR),
    ],
    ids=["paused lane", "inactive channel", "not due yet"],
)
def test_claim_nothing_where_work_rests(stop):
    make_waiting(2)
    stop()
    assert dispatch.claim("images", 2) == []
    assert Take.objects.filter(state=State.WAITING).count() == 2


@pytest.mark.django_db
def test_claim_nothing_where_nothing_is_wanted():
    make_waiting(1)
    assert dispatch.claim("images", 0) == []


@pytest.mark.django_db
def test_claim_full_lane_and_what_a_lowered_limit_means():
    make_waiting(3)
    dispatch.claim("images", 2)
    Provider.objects.filter(pk="images").update(concurrency=1)
    assert dispatch.claim("images", 2) == []
    assert dispatch.has_more("images")


@pytest.mark.django_db
def test_claim_other_lanes_do_not_count():
    make_waiting(1)
    make_waiting(1, "clip", make_task(Status.GENERATING_VIDEO))
    assert [take.kind for take in dispatch.claim("video", 5)] == ["clip"]


@pytest.mark.django_db
def test_line_is_sorted_last_whatever_joins_it():
    """A hash of the lines, which small tables have met, would hand them out in its own order."""
    nothing = {name: [] for name in ("closed", "channels", "videos", "kinds")}
    values = nothing | {"lane": "images", "now": timezone.now(), "most": 9}
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {dispatch.LINE}", values)
        plan = [row[0] for row in cursor.fetchall()]
    assert plan[0].startswith("Sort "), plan
    assert "priority" in plan[1], plan


@pytest.mark.django_db
def test_claim_high_first_then_the_oldest():
    channel = make_channel()
    tasks = {
        name: make_task(Status.GENERATING_ASSETS, priority=priority, channel=channel)
        for name, priority in [
            ("low", Priority.LOW),
            ("old", Priority.NORMAL),
            ("young", Priority.NORMAL),
            ("high", Priority.HIGH),
        ]
    }
    for task in tasks.values():
        make_waiting(1, task=task)
    order = [take.task_id for take in dispatch.claim("images", 9)]
    assert order == [tasks[name].pk for name in ("high", "old", "young", "low")]


@pytest.mark.django_db
def test_claim_collects_before_it_buys():
    bought = make_waiting(1, "clip", make_task(Status.GENERATING_VIDEO, priority=Priority.HIGH))
    rendered = make_waiting(1, "clip", make_task(Status.GENERATING_VIDEO, priority=Priority.LOW))
    rendered.takes.update(ref="job-1", attempt=1)
    (take,) = dispatch.claim("video", 1)
    assert (take.task, take.attempt) == (rendered, 1)
    assert not LedgerEntry.objects.exists()
    assert bought.takes.get().state == State.WAITING


# ---------------------------------------------------------------- orphans and renders


@pytest.mark.django_db
def test_adopt_only_what_has_no_living_holder():
    make_waiting(2)
    first, second = dispatch.claim("images", 2)
    token = first.token
    Take.objects.filter(pk=first.pk).update(lease_until=timezone.now(), holder="a-dead-one")
    (adopted,) = dispatch.adopt("images", 4)
    assert (adopted.pk, adopted.token, adopted.attempt) == (first.pk, token, 1)
    assert adopted.holder == holders.me()
    assert takes.is_held(second)


@pytest.mark.django_db
@pytest.mark.parametrize(("leases", "adopted"), [(2, 0), (11, 1)])
def test_adopt_of_another_machine_only_after_long(settings, leases, adopted):
    make_waiting(1)
    dispatch.claim("images", 1)
    Take.objects.update(host=f"not-{socket.gethostname()}", lease_until=timezone.now() - leases * settings.LEASE)
    assert len(dispatch.adopt("images", 4)) == adopted


@pytest.mark.django_db
def test_to_ask_each_render_once_a_tick():
    make_waiting(2, "clip", make_task(Status.GENERATING_VIDEO))
    for number, take in enumerate(dispatch.claim("video", 2)):
        takes.submitted(take, f"job-{number}")
    assert dispatch.to_ask("video") == []
    Take.objects.update(due_at=timezone.now())
    assert [take.ref for take in dispatch.to_ask("video")] == ["job-0", "job-1"]
    assert dispatch.to_ask("video") == []


@pytest.mark.django_db
def test_ring_lane_rings_the_cluster_that_works_on_it():
    dispatch.ring_lane("ffmpeg")
    assert rings("cpu") == [(dispatch.WORK, ("ffmpeg",))]


@pytest.mark.django_db
def test_claim_asks_as_often_for_many_channels_as_for_one(django_assert_num_queries):
    """The lane, its slots, the caps, the line, the tallies, the claim; a savepoint stands for BEGIN and COMMIT here."""
    for _ in range(5):
        make_waiting(1, task=make_task(Status.GENERATING_ASSETS, channel=make_channel()))
    with django_assert_num_queries(6 + 2):
        assert len(dispatch.claim("images", 5)) == 5


@pytest.mark.django_db
def test_claim_brings_what_whoever_works_on_it_will_read(django_assert_num_queries):
    """Column by column what the ORM reads, and nothing that would have to be read again."""
    channel = make_channel(name="Deep water", gates=["assets"], voice_style="0.2500")
    make_waiting(2, task=make_task(Status.GENERATING_ASSETS, channel=channel))
    claimed = dispatch.claim("images", 2)
    with django_assert_num_queries(0):
        rows = [row for take in claimed for row in (take, take.task, take.task.channel, take.channel, take.lane)]
    for row in rows:
        assert values(row) == values(type(row).objects.get(pk=row.pk))


def values(row: Model) -> dict[str, object]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


# ---------------------------------------------------------------- a machine vanishes


@pytest.mark.django_db
def test_locks_of_a_vanished_machine_end_by_themselves():
    """It can't say that it is gone: the server gives up on a transaction that is silent for half a minute."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("30s",)
