"""Commands for what was missed: rows read and written, sums counted, files looked over. Twice changes nothing more."""

import datetime as dt
import io
import uuid
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from channels_app.models import Storage
from production import outbox, workspace
from production.models import LedgerEntry, Meter, NotionBoard, SharedFile, Sharing, Tally, Task
from production.stages import Status
from sandbox.client import SandboxClient
from tests.factories import fresh, make_channel, make_ledger_entry, make_production, make_take, make_task
from tests.media import picture
from tests.production.test_caps import assert_tallies_say_what_the_lines_say
from tests.sandboxes import make_board

pytestmark = pytest.mark.django_db


def run(command: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


# ---------------------------------------------------------------- rows read again


@pytest.fixture
def board(vendors: SandboxClient) -> str:
    make_channel(name="Sea Stories")
    source = make_board(vendors, "Sea Stories")
    NotionBoard.objects.create(data_source_id=source)
    return source


def queue(vendors: SandboxClient, board: str, title: str, **cells: str) -> str:
    row = {"Title": title, "Topic": "Swarms", "Channel": "Sea Stories", "Status": "Queued"} | cells
    return vendors.create_page(board, row)["id"]


def test_repull_takes_in_what_webhooks_missed(vendors: SandboxClient, board: str):
    rows = [queue(vendors, board, f"Row {number}") for number in range(3)]
    queue(vendors, board, "Not yet", Status="Draft")
    lacking = queue(vendors, board, "No topic", Topic="")
    today = timezone.localdate().isoformat()
    said = run("repull_rows", "--since", today, "--dry-run")
    assert ("“Row 0”: would be taken in" in said, "5 rows read" in said) == (True, True)
    assert not Task.objects.exists()
    run("repull_rows", "--since", today)
    assert set(Task.objects.values_list("page_id", "status")) == {(row, "queued") for row in rows}
    assert vendors.page(lacking)["properties"]["Status"] == "Draft"
    said = run("repull_rows", "--since", today)
    assert said == "5 rows read.\n"
    assert Task.objects.count() == 3


def test_repull_reads_only_what_has_changed_since(vendors: SandboxClient, board: str):
    queue(vendors, board, "Old")
    tomorrow = (timezone.localdate() + dt.timedelta(days=1)).isoformat()
    assert run("repull_rows", "--since", f"{tomorrow}T00:00") == "0 rows read.\n"
    with pytest.raises(CommandError, match="yesterday is no date"):
        call_command("repull_rows", "--since", "yesterday")


def test_repull_of_more_rows_than_one_answer_has(vendors: SandboxClient, board: str):
    for number in range(103):
        queue(vendors, board, f"Row {number}", Status="Draft")
    assert run("repull_rows", "--since", "2026-01-01").endswith("103 rows read.\n")


def test_repull_without_a_board_says_what_to_do():
    with pytest.raises(CommandError, match="notion_board create"):
        run("repull_rows", "--since", "2026-01-01")


def test_repull_while_notion_is_in_trouble_can_be_repeated(vendors: SandboxClient, board: str):
    vendors.plan_fault("notion", "drop", "data_sources.query")
    with pytest.raises(CommandError, match=r"After 0 rows: .* Run it again"):
        run("repull_rows", "--since", "2026-01-01")


# ---------------------------------------------------------------- rows written again


def test_repush_writes_over_what_somebody_has_changed(vendors: SandboxClient, board: str):
    page = queue(vendors, board, "Bees")
    task = make_task(Status.ASSETS_READY, page_id=page)
    outbox.tell(task.pk)
    vendors.edit_page(page, {"Status": "Published"})
    assert run("repush_rows", "--dry-run") == "1 rows would be written, as the budget allows.\n"
    assert outbox.due() == []
    for _ in range(2):
        assert "1 rows will be written" in run("repush_rows")
    assert outbox.due() == [task.pk]
    outbox.tell(task.pk)
    assert vendors.page(page)["properties"]["Status"] == "Assets Ready"


def test_repush_leaves_the_older_run_of_a_row_alone():
    page = str(uuid.uuid4())
    old, new = (make_task(status, page_id=page) for status in (Status.PUBLISHED, Status.QUEUED))
    make_task(Status.DRAFT)
    Task.objects.update(tell_at=None)
    run("repush_rows")
    assert outbox.due() == [new.pk]
    assert fresh(old).tell_at is None


def test_repush_of_one_channel_or_since_a_day():
    old, new, other = (make_task(Status.QUEUED) for _ in range(3))
    Task.objects.filter(pk=old.pk).update(status_since=timezone.now() - dt.timedelta(days=3))
    Task.objects.update(tell_at=None)
    yesterday = (timezone.localdate() - dt.timedelta(days=1)).isoformat()
    run("repush_rows", "--since", yesterday, "--channel", new.channel.slug)
    assert outbox.due() == [new.pk]
    run("repush_rows", "--channel", old.channel.slug)
    assert outbox.due() == [new.pk, old.pk]
    assert fresh(other).tell_at is None


def test_repush_of_files_lists_them_again():
    task = make_production(Status.ASSETS_READY, channel=make_channel(storage=Storage.NOTION))
    take = task.takes.filter(kind="image").first()
    SharedFile.objects.create(take=take, place="notion", ref="up", sent=timezone.now(), attached=timezone.now())
    Sharing.objects.create(task=task, due_at=None)
    for _ in range(2):
        run("repush_rows", "--files")
        assert fresh(task.sharing).due_at
        assert (fresh(take.shared).attached, take.shared.ref) == (None, "up")


# ---------------------------------------------------------------- sums counted again


def shown() -> set[tuple[object, ...]]:
    tallies = Tally.objects.exclude(meter=Meter.QUOTA).exclude(usd=0)
    return set(tallies.values_list("meter", "key", "since", "simulated", "usd"))


def test_recount_says_and_mends_what_the_lines_say():
    task = make_task(Status.GENERATING_VIDEO)
    make_take(task, "clip", 1, usd="0.42")
    make_take(task, "clip", 2, usd="0.42")
    last_month = timezone.now() - dt.timedelta(days=40)
    make_ledger_entry(make_take(task, "clip", 3), "0.40", at=last_month)
    make_ledger_entry(make_take(task, "clip", 4), "9.99", state=LedgerEntry.State.RELEASED)
    Tally.objects.create(meter=Meter.VIDEO, key="999999", since=dt.date(2000, 1, 1), simulated=False, usd=7)
    quota = Tally.objects.create(meter=Meter.QUOTA, key="video", since=timezone.localdate(), simulated=False, calls=3)
    before = shown()
    said = run("recount_costs", "--dry-run")
    assert f"A video {task.pk} since 2000-01-01: shows 0 USD, its lines say 1.2400 USD" in said
    assert "A video 999999 since 2000-01-01: shows 7.0000 USD, its lines say 0 USD" in said
    assert shown() == before
    assert "sums mended." in run("recount_costs")
    assert_tallies_say_what_the_lines_say()
    mended = shown()
    assert run("recount_costs") == "Every sum is what its lines say.\n"
    assert shown() == mended
    month = Tally.objects.get(meter=Meter.CHANNEL_MONTH, since=timezone.localdate(last_month).replace(day=1))
    assert month.usd == Decimal("0.40")
    assert fresh(quota).calls == 3, "calls have no lines to be counted from"


# ---------------------------------------------------------------- files looked over


def test_look_over_sees_what_was_finished_before_there_were_looks():
    task = make_task()
    good, bad = make_take(task, "image", 1), make_take(task, "image", 2)
    workspace.file_of(bad).write_bytes(picture((1920, 1080), "navy"))
    lost, seen = make_take(task, "image", 3), make_take(task, "image", 4, measured={"width": 1})
    workspace.file_of(lost).unlink()
    assert run("look_over", "--dry-run") == "To be looked over: 3 files.\n"
    assert (fresh(good).measured, run("look_over", "--task", str(task.pk + 1))) == ({}, "Looked over: 0 files.\n")
    said = run("look_over", "--task", str(task.pk))
    assert "image 2 is one colour" in said
    assert [fresh(take).measured.get("poster") for take in (good, bad, lost, seen)] == [True, True, None, None]
    assert fresh(bad).findings[0]["severity"] == "error"
    assert (fresh(lost).findings, fresh(seen).measured) == ([], {"width": 1})
    assert run("look_over", "--dry-run") == "To be looked over: 1 file.\n", "its file is gone"


def test_look_over_leaves_published_tasks_alone():
    task = make_task(Status.PUBLISHED)
    make_take(task, "image", 1)
    assert run("look_over") == "Looked over: 0 files.\n"
