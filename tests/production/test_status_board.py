"""The board: what stands where, for whom, how late it is, and what it costs the database."""

import datetime as dt
import re
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from production import asking, caps, status_board
from production.models import Approval, LedgerEntry, StatusChange, Tally, Task, UsualTime
from production.stages import STAGES, Status
from production.status_board import Wanted
from tests.factories import make_channel, make_operator, make_production, make_staff, make_take, make_task
from tests.pages import review_of

pytestmark = pytest.mark.django_db
BOARD, COLUMNS = "admin:production_task_board", "admin:production_task_columns"


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    """What another test had on its board."""
    cache.clear()


def columns(user: User | None = None, **filters: str) -> dict[Status, status_board.Column]:
    wanted = Wanted.of(user or make_operator(), filters)
    return {column.status: column for group in status_board.read(wanted) for column in group.columns}


def shown(user: User | None = None, **filters: str) -> set[Task]:
    return {card.task for column in columns(user, **filters).values() for card in column.cards}


def card_of(task: Task) -> status_board.Card:
    (card,) = columns()[Status(task.status)].cards
    return card


def aged(task: Task, **age: float) -> Task:
    """In its status for so long."""
    Task.objects.filter(pk=task.pk).update(status_since=timezone.now() - dt.timedelta(**age))
    return task


# ---------------------------------------------------------------- what stands where


def test_read_has_each_status_once_in_seven_groups() -> None:
    groups = status_board.read(Wanted(make_operator()))
    assert [group.stage for group in groups] == list(STAGES)
    found = [column.status for group in groups for column in group.columns]
    assert sorted(found) == sorted(Status)


def test_read_puts_each_task_into_its_column() -> None:
    channel = make_channel()
    tasks = {status: make_task(status, channel=channel) for status in Status}
    assert {status: [card.task for card in column.cards] for status, column in columns().items()} == {
        status: [task] for status, task in tasks.items()
    }


def test_read_shows_the_most_urgent_and_says_how_many_more() -> None:
    channel = make_channel()
    tasks = [aged(make_task(Status.QUEUED, channel=channel), hours=hour) for hour in range(status_board.CARDS + 3)]
    urgent = make_task(Status.QUEUED, channel=channel, priority=1)
    column = columns()[Status.QUEUED]
    assert [card.task for card in column.cards] == [urgent, *reversed(tasks[4:])]
    assert (column.count, column.more) == (status_board.CARDS + 4, 4)


def test_read_forgets_what_was_published_long_ago() -> None:
    channel = make_channel()
    newest = aged(make_task(Status.PUBLISHED, channel=channel), days=1)
    aged(make_task(Status.PUBLISHED, channel=channel), days=8)
    column = columns()[Status.PUBLISHED]
    assert ([card.task for card in column.cards], column.count) == ([newest], 1)


def test_read_shows_progress_and_cost() -> None:
    task = make_production(Status.GENERATING_VIDEO, clips=6)
    for number in range(1, 6):
        make_take(task, "clip", number)
    for simulated, usd in ((True, "2.10"), (False, "0.40")):
        Tally.objects.create(meter="video", key=str(task.pk), since=caps.EVER, simulated=simulated, usd=usd)
    card = card_of(task)
    assert (str(card.progress), f"{card.usd:.2f}") == ("clip 5/6", "2.50")


@pytest.mark.parametrize(("minutes", "pace"), [(25, "calm"), (31, "late"), (61, "stuck")])
def test_pace_is_told_by_the_usual_time_of_the_stage(minutes: float, pace: str) -> None:
    UsualTime.objects.create(stage="video", seconds=1200, sample=9, learned=timezone.now())
    assert card_of(aged(make_task(Status.GENERATING_VIDEO), minutes=minutes)).pace == pace


@pytest.mark.parametrize(("hours", "pace"), [(3, "calm"), (5, "late"), (25, "stuck")])
@pytest.mark.parametrize("status", [Status.FINAL_REVIEW, Status.VIDEO_ERROR])
def test_pace_where_a_person_is_asked(status: Status, hours: float, pace: str) -> None:
    assert card_of(aged(make_task(status), hours=hours)).pace == pace


def test_pace_in_line_is_always_calm() -> None:
    assert card_of(aged(make_task(Status.QUEUED), days=9)).pace == "calm"


# ---------------------------------------------------------------- filters


def test_filters_by_channel_priority_and_person() -> None:
    task = make_task(Status.QUEUED, priority=1)
    StatusChange.objects.filter(task=task).update(by="notion: Rita")
    other = make_task(Status.ASSETS_READY)
    assert shown() == {task, other}
    for filters in ({"channel": str(task.channel_id)}, {"priority": "1"}, {"by": "notion: Rita"}, {"who": "system"}):
        assert shown(**filters) == {task}, filters
    assert shown(who="you") == {other}
    assert shown(by="nobody") == set()


def test_filters_ignore_what_makes_no_sense() -> None:
    task = make_task(Status.QUEUED)
    assert shown(channel="x", priority="999999999999", who="me") == {task}


def test_choices_name_who_has_queued() -> None:
    task = make_task(Status.QUEUED)
    by = next(choice for choice in status_board.choices(Wanted(make_operator(), by="tests")) if choice.name == "by")
    assert (by.options, by.chosen) == ([("tests", "tests")], "tests")
    assert task.changes.filter(by="tests").exists()


def test_more_leads_to_the_same_tasks_in_the_list(operator_client: Client) -> None:
    channel = make_channel()
    for _ in range(status_board.CARDS + 1):
        make_task(Status.QUEUED, channel=channel, priority=1)
    make_task(Status.QUEUED, priority=1)
    html = operator_client.get(reverse(BOARD), {"channel": channel.pk, "priority": 1}).content.decode()
    (link,) = re.findall(r'class="more" href="([^"]+)"', html)
    assert operator_client.get(link.replace("&amp;", "&")).context["cl"].result_count == status_board.CARDS + 1


# ---------------------------------------------------------------- what it costs


def queries(client: Client, url: str, **headers: str) -> list[str]:
    with CaptureQueriesContext(connection) as seen:
        assert client.get(url, headers=headers).status_code in (200, 304)
    return [query["sql"] for query in seen]


@pytest.mark.parametrize("url", [BOARD, COLUMNS, "admin:index", "admin:production_task_reviewers"])
def test_pages_take_the_same_number_of_queries_for_any_number_of_tasks(operator_client: Client, url: str) -> None:
    def add_some() -> None:
        for status in (Status.GENERATING_ASSETS, Status.ASSETS_READY, Status.ASSET_ERROR, Status.PUBLISHED):
            make_take(make_task(status), "plan", state="waiting")

    add_some()
    few = len(queries(operator_client, reverse(url)))
    for _ in range(4):
        add_some()
    assert len(queries(operator_client, reverse(url))) == few


def test_unchanged_board_is_a_304_for_one_query(operator_client: Client) -> None:
    make_task(Status.QUEUED)
    url = reverse(COLUMNS)
    etag = operator_client.get(url)["ETag"]
    found = queries(operator_client, url, if_none_match=etag)
    assert [sql for sql in found if "django_session" not in sql and "auth_user" not in sql] == [status_board.NEWEST]
    reply = operator_client.get(url, headers={"If-None-Match": etag})
    assert (reply.status_code, reply.content, reply["ETag"]) == (304, b"", etag)


def test_board_that_somebody_else_has_open_is_not_read_again(client: Client) -> None:
    make_task(Status.QUEUED)
    for _ in range(2):
        client.force_login(make_operator())
        found = queries(client, reverse(COLUMNS))
    assert not [sql for sql in found if "production_task" in sql]


def happenings() -> Iterator[Task]:
    """A task before each thing that a board has to show."""
    task = make_task(Status.QUEUED)
    yield task
    make_task(Status.QUEUED, channel=task.channel)
    yield task
    take = make_take(task, "plan", state="waiting")
    yield task
    LedgerEntry.objects.create(take=take, attempt=1, channel=task.channel, lane_id="planning", intended_usd=1)
    yield task
    make_take(task, "image", 1)


def test_version_changes_with_whatever_happens() -> None:
    wanted = Wanted(make_operator())
    versions = [status_board.version(wanted) for _ in happenings()]
    assert len(set(versions)) == len(versions) - 1  # a take that waits shows nothing yet


def test_version_is_of_what_one_sees() -> None:
    operator = make_operator()
    assert status_board.version(Wanted(operator)) != status_board.version(Wanted(operator, who="you"))


# Very many tasks, nearly all of them published.
MANY = {
    "page_id": "gen_random_uuid()",
    "status": "CASE WHEN n %% 30 = 0 THEN (ARRAY['queued', 'generating_video', 'final_review'])[1 + n / 30 %% 3] "
    "ELSE 'published' END",
    "status_since": "now() - n * interval '10 minutes'",
}


def fill_with_copies(row: Model, number: int, own: dict[str, str]) -> None:
    """No trigger and no walk of each."""
    table = row._meta.db_table
    names = [field.column for field in row._meta.concrete_fields if field.column != "id"]
    values = ", ".join(own.get(name, name) for name in names)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(names)}) "
            f"SELECT {values} FROM {table}, generate_series(1, %s) AS n WHERE id = %s",
            [number, row.pk],
        )
        cursor.execute(f"ANALYZE {table}")


@pytest.mark.parametrize("filters", [{}, {"who": "you"}, {"by": "tests"}, {"channel": "own"}, {"priority": "1"}])
def test_cards_are_found_by_indexes_alone(filters: dict[str, str]) -> None:
    task = make_task(Status.QUEUED)
    fill_with_copies(task, 30_000, MANY)
    said = {name: str(task.channel_id) if value == "own" else value for name, value in filters.items()}
    tasks = status_board._tasks(Wanted.of(make_operator(), said))
    for status in (Status.QUEUED, Status.GENERATING_VIDEO, Status.FINAL_REVIEW, Status.PUBLISHED):
        plan = status_board._first(tasks, status).explain()
        assert "Seq Scan on production_task" not in plan, plan


def test_who_is_asked_is_found_by_indexes_alone() -> None:
    """Every page of the admin counts them. Neither all tasks are read for it, nor all takes for what is useless."""
    fill_with_copies(
        make_take(make_task(Status.PUBLISHED), "clip", 1),
        3000,
        {"number": "n + 1", "selected": "false", "token": "NULL"},
    )
    fill_with_copies(make_task(Status.PUBLISHED), 30_000, MANY)
    make_task(Status.COMPOSITES_READY)
    plan = asking.queue(None).explain()
    assert "Seq Scan on production_ta" not in plan, plan


def test_version_reads_the_ends_of_indexes() -> None:
    fill_with_copies(make_task(Status.QUEUED).changes.get(), 3000, {})
    with connection.cursor() as cursor:
        # In tables of a few rows it would be as cheap to read them all, in either way.
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN {status_board.NEWEST}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert plan.count("Limit") == plan.count("Index Only Scan Backward") == 4, plan


# ---------------------------------------------------------------- who may


def test_board_wants_the_permission_to_view_tasks(client: Client) -> None:
    client.force_login(make_staff())
    for name in (BOARD, COLUMNS, "admin:production_task_reviewers"):
        assert client.get(reverse(name)).status_code == 403


def test_board_links_each_card_to_its_review(operator_client: Client) -> None:
    task = make_task(Status.ASSETS_READY)
    assert f'href="{review_of(task)}"' in operator_client.get(reverse(BOARD)).content.decode()
    assert not Approval.objects.exists()


def test_board_of_a_name_that_no_database_stores(operator_client: Client):
    assert operator_client.get(reverse(BOARD), {"by": "ol\0ga"}).status_code == 200
