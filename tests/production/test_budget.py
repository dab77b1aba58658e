"""Everybody's requests to Notion come out of one budget, whoever makes them and wherever."""

import datetime as dt
import subprocess
import sys

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from production import budget, notion, outbox, sweep
from production.budget import OverBudgetError, Use
from production.errors import NotHereError
from production.models import Alert, Provider, Task, Window
from production.stages import Status
from sandbox.client import SandboxClient
from tests import ROOT
from tests.factories import fresh, make_task
from tests.sandboxes import make_board

pytestmark = pytest.mark.django_db
SPENDER = """
import os, sys, django
django.setup()
from django.db import connection
from production import budget
connection.settings_dict["NAME"] = sys.argv[1]
taken = 0
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    try:
        budget.spend(budget.Use.READ)
        taken += 1
    except budget.OverBudgetError:
        pass
print(taken)
"""


def notion_lane(**columns: object) -> Provider:
    Provider.objects.filter(pk=budget.NOTION).update(**columns)
    return Provider.objects.get(pk=budget.NOTION)


def taken(use: Use, asked: int) -> int:
    """How many of so many requests are let through."""
    through = 0
    for _ in range(asked):
        try:
            budget.spend(use)
        except OverBudgetError:
            continue
        through += 1
    return through


def age(seconds: float) -> None:
    """So long ago were all requests made."""
    window = Window.objects.get()
    window.requests = [moment - dt.timedelta(seconds=seconds) for moment in window.requests]
    window.save()


@pytest.mark.django_db(transaction=True)
def test_spend_by_two_processes_is_exactly_the_budget():
    notion_lane(rate_calls=40)
    name = str(connection.settings_dict["NAME"])
    command = [sys.executable, "-c", SPENDER, name, "60"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    spenders = [subprocess.Popen(command, **pipes) for _ in range(2)]
    counts = [0, 0]
    for spender in spenders:
        spender.stdin.write("go\n")
        spender.stdin.flush()
    for number, spender in enumerate(spenders):
        counts[number] = int(spender.communicate(timeout=60)[0])
    assert sum(counts) == 40, counts
    assert len(Window.objects.get().requests) == 40


def test_spend_gives_reads_before_statuses_before_progress_before_files():
    notion_lane(rate_calls=20)
    assert taken(Use.FILES, 20) == 9
    assert taken(Use.PROGRESS, 20) == 13 - 9
    assert taken(Use.STATUS, 20) == 18 - 13
    assert taken(Use.READ, 20) == 20 - 18


def test_spend_says_when_there_is_room():
    notion_lane(rate_calls=2, rate_seconds=60)
    budget.spend(Use.READ)
    age(50)
    budget.spend(Use.READ)
    with pytest.raises(OverBudgetError) as refused:
        budget.spend(Use.READ)
    assert 5 < refused.value.retry_after <= 10
    age(11)
    budget.spend(Use.READ)


def test_spend_heeds_a_change_at_once():
    notion_lane(rate_calls=3)
    assert taken(Use.READ, 5) == 3
    notion_lane(rate_calls=5)
    assert taken(Use.READ, 5) == 2
    notion_lane(rate_calls=2)
    assert taken(Use.READ, 1) == 0
    notion_lane(rate_calls=None)
    assert taken(Use.READ, 9) == 9


def test_spend_forgets_what_a_clock_put_back_has_left():
    notion_lane(rate_calls=2)
    assert taken(Use.READ, 3) == 2
    age(-3600)
    assert taken(Use.READ, 3) == 2


@pytest.mark.django_db(transaction=True)
def test_spend_refuses_to_keep_its_row_locked():
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        budget.spend(Use.READ)


def test_spend_is_shown_and_edited_in_the_admin(operator_client: Client):
    notion_lane(rate_calls=3)
    taken(Use.READ, 2)
    assert "2 of 3 requests" in operator_client.get("/admin/production/provider/").content.decode()
    page = "/admin/production/provider/notion/change/"
    fields = {"concurrency": "", "rate_calls": "600", "rate_seconds": "60", "prices": "{}", "write_off_usd": "0.10"}
    operator_client.post(page, fields)
    assert fresh(notion_lane()).rate_calls == 600


# ---------------------------------------------------------------- what Notion says


@pytest.fixture
def page(vendors: SandboxClient) -> str:
    return vendors.create_page(make_board(vendors, "Sea Stories"), {"Title": "Bees", "Status": "Queued"})["id"]


def requests(vendors: SandboxClient) -> int:
    return len(vendors.calls("notion"))


def test_429_closes_the_budget_for_everybody(vendors: SandboxClient, page: str):
    vendors.plan_fault("notion", "quota", seconds=90)
    with pytest.raises(OverBudgetError):
        notion.fetch(page)
    before = requests(vendors)
    task = make_task(Status.QUEUED, page_id=page)
    outbox.tell(task.pk)
    with pytest.raises(OverBudgetError, match="closed"):
        notion.fetch(page)
    assert requests(vendors) == before, "nobody asked"
    wait = (fresh(task).tell_at - timezone.now()).total_seconds()
    assert 80 < wait <= 90
    assert (fresh(task).tell_tries, fresh(task).telling_until) == (0, None), "it has not failed, and nobody waits"
    notion_lane(closed_until=timezone.now())
    Task.objects.update(tell_at=timezone.now())
    outbox.tell(task.pk)
    assert fresh(task).tell_at is None


def test_529_closes_it_too_and_a_shorter_word_undoes_no_longer_one(vendors: SandboxClient, page: str):
    overload = {"object": "error", "status": 529, "code": "service_overload", "message": "Overloaded"}
    vendors.plan_fault("notion", "status", status=529, body=overload, headers={"Retry-After": "120"})
    with pytest.raises(OverBudgetError):
        notion.fetch(page)
    until = notion_lane().closed_until
    assert until - timezone.now() > dt.timedelta(seconds=110)
    budget.hush(5, "sooner")
    assert notion_lane().closed_until == until


def test_a_blocked_connection_is_not_used_until_a_person_says_so(vendors: SandboxClient, page: str, do):
    body = {"object": "error", "status": 429, "code": "rate_limited", "message": "Blocked"}
    body["additional_data"] = {"rate_limit_reason": "public_api_request_blocked"}
    vendors.plan_fault("notion", "status", status=429, body=body, headers={"Retry-After": "1"})
    with pytest.raises(OverBudgetError):
        notion.fetch(page)
    before = requests(vendors)
    with pytest.raises(OverBudgetError, match="paused"):
        notion.fetch(page)
    assert requests(vendors) == before
    do(sweep.tick)
    (alert,) = Alert.objects.all()
    assert "Nothing is sent to Notion any more" in alert.message
    notion_lane(paused=False, pause_reason="")
    assert notion.fetch(page).title == "Bees"
    do(sweep.tick)
    assert fresh(alert).closed


def test_a_long_silence_is_said_once_and_its_end_too(vendors: SandboxClient, page: str, do):
    vendors.plan_fault("notion", "quota", seconds=5000)
    with pytest.raises(OverBudgetError):
        notion.fetch(page)
    for _ in range(2):
        do(sweep.tick)
    (alert,) = Alert.objects.all()
    assert alert.message.startswith("Nothing is sent to Notion any more until 2")
    notion_lane(closed_until=timezone.now())
    do(sweep.tick)
    assert fresh(alert).closed


def test_write_to_a_deleted_row_is_no_failure(vendors: SandboxClient, page: str):
    with notion.asking("it") as api:
        api.pages.update(page, in_trash=True)
    with pytest.raises(NotHereError):
        notion.write(page, notion.Row(progress="clip 1/2"))


# ---------------------------------------------------------------- writes that happened behind an error


COMMITTED = {
    "object": "error",
    "status": 503,
    "code": "service_unavailable",
    "message": "Try again",
    "additional_data": {"retry_guidance": "re-read before you repeat", "committed_resource_id": "$ref"},
}


def titles(vendors: SandboxClient, board: str) -> list[str]:
    return [row["properties"]["Title"] for row in vendors.pages(board)]


def add(board: str) -> str:
    return notion.create(board, title="Wasps", topic="Paper", channel="Sea Stories", status="Draft")


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status_after", "status": 503, "body": COMMITTED},
        {"kind": "status_after", "status": 502, "body": "<html>"},
        {"kind": "lost_reply"},
    ],
)
def test_create_behind_an_error_is_not_repeated(vendors: SandboxClient, fault):
    board = make_board(vendors, "Sea Stories")
    vendors.plan_fault("notion", operation="pages.create", **fault)
    page = add(board)
    assert titles(vendors, board) == ["Wasps"]
    assert vendors.page(page)["properties"]["Topic"] == "Paper"


def test_create_that_did_not_happen_says_so(vendors: SandboxClient):
    board = make_board(vendors, "Sea Stories")
    vendors.create_page(board, {"Title": "Wasps"})  # somebody's own row
    vendors.plan_fault("notion", "drop", "pages.create")
    with pytest.raises(notion.Trouble, match="no answer"):
        add(board)
    assert titles(vendors, board) == ["Wasps"]


def test_update_behind_an_error_is_done(vendors: SandboxClient, page: str):
    vendors.plan_fault("notion", "status_after", "pages.update", status=503, body=COMMITTED)
    task = make_task(Status.QUEUED, page_id=page, topic="x")
    before = len(vendors.calls("notion", "pages.update"))
    outbox.tell(task.pk)
    assert fresh(task).tell_at is None
    assert len(vendors.calls("notion", "pages.update")) == before + 1


def test_write_takes_no_more_than_notion_does(vendors: SandboxClient, page: str):
    """A hundred texts of 2,000 characters, and as many of an address."""
    notion.write(page, notion.Row(error_log="x" * 300_000 + "end", url="https://youtu.be/" + "y" * 3000))
    found = vendors.page(page)["properties"]
    assert (len(found["Error Log"]), found["Error Log"][-3:]) == (200_000, "end")
    assert len(found["YouTube URL"]) == 2000


@pytest.mark.django_db
def test_budget_is_the_connections_own(settings: Settings):
    assert notion_lane().rate_calls == 180
    assert notion_lane().rate_seconds == 60
