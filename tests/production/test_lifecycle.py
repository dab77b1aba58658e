"""Task.status has one writer, and the database refuses every other hand."""

import datetime as dt

import pgtrigger
import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from production import lifecycle
from production.errors import IllegalMoveError, StaleError
from production.models import StatusChange, Task
from production.stages import STAGE, STAGES, Status, Verb, legal_pairs
from tests.factories import make_channel, make_task

ILLEGAL = sorted({(a, b) for a in Status for b in Status if a != b} - legal_pairs())


TRY_EVERY_STATUS = f"""
    CREATE TEMPORARY TABLE refused (task bigint, status text) ON COMMIT DROP;
    DO $$
    DECLARE
        task record;
        wanted text;
    BEGIN
        FOR task IN SELECT id, status FROM production_task LOOP
            FOREACH wanted IN ARRAY '{{{",".join(Status.values)}}}'::text[] LOOP
                BEGIN
                    UPDATE production_task SET status = wanted WHERE id = task.id;
                    RAISE EXCEPTION 'allowed';
                EXCEPTION
                    WHEN check_violation THEN INSERT INTO refused VALUES (task.id, wanted);
                    WHEN raise_exception THEN NULL;
                END;
            END LOOP;
        END LOOP;
    END $$;
"""


# ---------------------------------------------------------------- moves


@pytest.mark.django_db
def test_move_writes_status_change_and_what_notion_is_told():
    task = make_task()
    Task.objects.update(status_since=timezone.now() - dt.timedelta(hours=1))
    before = timezone.now()
    change = lifecycle.move(task, Verb.SUBMIT, by="notion: Ada", reason="ready")
    task.refresh_from_db()
    assert (task.status, change.before, change.after) == (Status.QUEUED, Status.DRAFT, Status.QUEUED)
    assert (change.verb, change.stage, change.by, change.reason) == ("submit", "", "notion: Ada", "ready")
    assert not change.is_error
    assert before <= task.tell_at <= timezone.now()
    assert before <= task.status_since <= timezone.now()
    assert list(task.changes.all()) == [change]


@pytest.mark.django_db
@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_move_fail_is_a_line_of_the_error_log_and_names_its_stage(stage):
    task = make_task(stage.running)
    change = lifecycle.move(task, Verb.FAIL, by="system", stage=stage, reason="why")
    assert change.is_error
    assert (task.status, change.stage) == (stage.error, stage.name)
    assert lifecycle.failed_stage(task) == stage


@pytest.mark.django_db
def test_move_that_changes_nothing_keeps_the_time_in_status():
    """A yes at a gate that has no status of its own."""
    task = make_task(Status.COMPOSITES_READY)
    since = task.status_since
    change = lifecycle.move(task, Verb.APPROVE, by="Ada")
    task.refresh_from_db()
    assert (task.status, task.status_since) == (Status.COMPOSITES_READY, since)
    assert change.before == change.after == Status.COMPOSITES_READY


@pytest.mark.django_db
def test_move_illegal_leaves_no_trace():
    task = make_task()
    with pytest.raises(IllegalMoveError, match="“approve” is not possible from Draft"):
        lifecycle.move(task, Verb.APPROVE, by="Ada")
    task.refresh_from_db()
    assert task.status == Status.DRAFT
    assert task.tell_at is None
    assert not task.changes.exists()


@pytest.mark.django_db
def test_move_stale_where_somebody_was_faster():
    task = make_task(Status.QUEUED)
    slow = Task.objects.get(pk=task.pk)
    lifecycle.move(task, Verb.CLAIM, by="system")
    with pytest.raises(StaleError, match="not in Queued any more"):
        lifecycle.move(slow, Verb.CANCEL, by="Ada")
    task.refresh_from_db()
    assert task.status == Status.CLAIMED


@pytest.mark.django_db
def test_note_appends_to_the_error_log_without_a_move():
    task = make_task(Status.GENERATING_AUDIO)
    Task.objects.update(tell_at=None)
    lifecycle.note(task, "narration 3: no answer", stage=STAGE["audio"])
    lifecycle.note(task, "by hand", by="Ada")
    task.refresh_from_db()
    first, second = task.changes.filter(verb=StatusChange.NOTE)
    assert task.tell_at
    assert (first.reason, first.stage, first.is_error, first.by) == ("narration 3: no answer", "audio", True, "system")
    assert first.before == first.after == task.status == Status.GENERATING_AUDIO
    assert (second.stage, second.by) == ("", "Ada")


@pytest.mark.django_db
def test_failed_stage_is_the_last_one_that_failed():
    task = make_task(Status.AUDIO_ERROR, failed="sfx")
    lifecycle.note(task, "a note says nothing about the stage", stage=STAGE["audio"])
    assert lifecycle.failed_stage(task) == STAGE["sfx"]
    assert lifecycle.failed_stage(make_task(Status.UPLOADING)) is None


@pytest.mark.django_db
def test_lock_reads_the_task_with_its_channel(django_assert_num_queries):
    task = make_task()
    with transaction.atomic(), django_assert_num_queries(1):
        assert lifecycle.lock(task.pk).channel.pk == task.channel_id


# ---------------------------------------------------------------- what the database refuses


def refuse(task: Task, status: Status, *, raw: bool) -> None:
    write = write_by_sql if raw else write_by_update
    with pytest.raises(DatabaseError, match=r"illegal move|behind lifecycle"), transaction.atomic():
        write(task, status)


def write_by_sql(task: Task, status: Status) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE production_task SET status = %s WHERE id = %s", [status, task.pk])


def write_by_update(task: Task, status: Status) -> None:
    Task.objects.filter(pk=task.pk).update(status=status)


@pytest.mark.parametrize("raw", [False, True], ids=["update", "sql"])
@pytest.mark.parametrize("after", [Status.ASSETS_READY, Status.PUBLISHED], ids=["legal", "illegal"])
def test_database_refuses_a_status_written_behind_lifecycles_back(transactional_db, after, raw):
    task = make_task(Status.GENERATING_ASSETS)
    refuse(task, after, raw=raw)
    task.refresh_from_db()
    assert task.status == Status.GENERATING_ASSETS


def test_database_refuses_a_status_saved_with_the_object(transactional_db):
    task = make_task(Status.QUEUED)
    task.status = Status.CLAIMED
    with pytest.raises(DatabaseError, match="behind lifecycle's back: queued to claimed"):
        task.save()


def test_database_refuses_a_status_backed_by_an_old_change(transactional_db):
    """The matching change has to be of the same transaction: yesterday's does not count."""
    task = make_task(Status.QUEUED)
    lifecycle.move(task, Verb.CLAIM, by="system")
    lifecycle.move(task, Verb.CANCEL, by="system")
    lifecycle.move(task, Verb.SUBMIT, by="system")
    refuse(task, Status.CLAIMED, raw=False)


def test_database_refuses_a_change_of_another_task(transactional_db):
    task, other = make_task(Status.QUEUED), make_task(Status.QUEUED)

    @transaction.atomic
    def move_one_and_write_the_other() -> None:
        lifecycle.move(other, Verb.CLAIM, by="system")
        write_by_update(task, Status.CLAIMED)

    with pytest.raises(DatabaseError, match="behind lifecycle"):
        move_one_and_write_the_other()
    other.refresh_from_db()
    assert other.status == Status.QUEUED


def test_database_takes_several_moves_in_one_transaction(transactional_db):
    task = make_task(Status.QUEUED)
    with transaction.atomic():
        lifecycle.move(task, Verb.CLAIM, by="system")
        with transaction.atomic():
            lifecycle.move(task, Verb.START, by="system", stage=STAGE["assets"])
    task.refresh_from_db()
    assert task.status == Status.GENERATING_ASSETS


@pytest.mark.django_db
@pytest.mark.parametrize("status", [s for s in Status if s != Status.DRAFT])
def test_database_refuses_a_task_that_does_not_begin_as_draft(status):
    with pytest.raises(IntegrityError, match=f"begins as draft, not as {status}"), transaction.atomic():
        Task.objects.create(channel=make_channel(), page_id="page", title="x", topic="x", status=status)


@pytest.mark.django_db
def test_database_refuses_a_status_that_is_none_of_the_26():
    task = make_task()
    triggers = [f"production.Task:{name}" for name in ("only_legal_moves", "has_its_change")]
    refused = pytest.raises(IntegrityError, match="task_status_is_one_of_26")
    with pgtrigger.ignore(*triggers), refused, transaction.atomic():
        Task.objects.filter(pk=task.pk).update(status="limbo")


@pytest.mark.django_db
def test_database_refuses_every_illegal_pair():
    """All 26 x 26 pairs but the legal ones, tried within the database: 600 round trips would be slow."""
    tasks = {make_task(status).pk: status for status in {before for before, _ in ILLEGAL}}
    with connection.cursor() as cursor:
        cursor.execute(TRY_EVERY_STATUS)
        cursor.execute("SELECT task, status FROM refused")
        refused = {(tasks[task], Status(status)) for task, status in cursor.fetchall()}
    assert refused == set(ILLEGAL)


@pytest.mark.django_db
def test_database_allows_one_unfinished_task_a_page():
    first = make_task(page_id="the-page")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_task(page_id="the-page", channel=first.channel)
