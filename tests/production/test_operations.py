"""Alerts, health, the sweep, the workspace and the checks: what operators live from."""

import datetime as dt
import json
import socket
import sys
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.db import connection, connections
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django import Settings

from production import checks, decisions, dispatch, flow, providers, recipes, sweep, takes, workspace
from production.models import SWEEP, Alert, Delivery, Heartbeat, Job, NotionEvent, Provider, Take, Task
from production.stages import PIECE, STAGE, Status
from tests.factories import (
    claim,
    make_production,
    make_stage,
    make_take,
    make_task,
)
from tests.production.scripts import Scripts
from tests.rings import Ring, rings

pytestmark = pytest.mark.django_db
State = Take.State
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


# ---------------------------------------------------------------- health


def test_health_answers_without_the_database(client):
    assert client.get("/health").json() == {"status": "ok"}


def test_ready_says_what_lacks(client):
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["lacks"]) == (503, ["a worker: run manage.py worker"])
    sweep.beat("here:1", "calls")
    assert client.get("/ready").json()["lacks"] == ["the sweep: no round has ended lately; see the workers' logs"]
    sweep.tick()
    assert client.get("/ready").status_code == 200
    Heartbeat.objects.update(beat=timezone.now() - 2 * HOUR)
    assert client.get("/ready").status_code == 503


def test_ready_without_a_migration(client):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'production'")
    assert client.get("/ready").json()["lacks"] == ["migrations: run manage.py migrate"]


def test_ready_without_the_database(client, monkeypatch):
    settings = connections["default"].settings_dict
    monkeypatch.setitem(settings, "NAME", "no_such_database")
    lost = connections.create_connection("default")
    monkeypatch.setattr("production.health.connection", lost)
    answer = client.get("/ready")
    assert answer.status_code == 503
    assert "the database (OperationalError): see DATABASE_URL" in answer.json()["lacks"]


# ---------------------------------------------------------------- sweep


@pytest.fixture
def tick(do):
    def sweep_once() -> set[Ring]:
        Job.objects.all().delete()
        assert do(sweep.tick)
        return set(rings())

    return sweep_once


def test_tick_rings_again_what_a_lost_ring_left(tick):
    make_take(make_task(Status.GENERATING_ASSETS), "image", 1, state=State.WAITING)
    Task.objects.update(tell_at=None)
    assert tick() == {("production.jobs.work", ("images",))}
    assert tick() == set(), "not more often than every five seconds"
    Provider.objects.update(rung_at=None)
    Take.objects.update(due_at=timezone.now() + HOUR)
    assert tick() == set()


def test_tick_rings_for_orphans_and_renders(tick):
    task = make_task(Status.GENERATING_VIDEO)
    orphan = claim(make_take(task, "narration", 1, state=State.WAITING), "dead:1")
    takes.let_go(orphan)
    make_take(task, "clip", 1, state=State.SUBMITTED, ref="job-1")
    Task.objects.update(tell_at=None)
    assert tick() == {("production.jobs.work", ("voice",)), ("production.jobs.ask", ("video",))}


def test_tick_starts_waiting_tasks_and_rings_for_rows(tick):
    task = make_task(Status.QUEUED)
    NotionEvent.objects.create(event_id="e", type="x")
    alert = Alert.objects.create(cause="x", message="x")
    delivery = Delivery.objects.create(alert=alert, transport="slack", text="x")
    assert tick() >= {
        ("production.jobs.take_in", ()),
        ("production.jobs.tell", (task.pk,)),
        ("production.jobs.deliver", (delivery.pk,)),
        ("production.jobs.work", ("planning",)),
    }
    task.refresh_from_db()
    assert task.status == Status.GENERATING_ASSETS


def test_tick_ends_a_stage_whose_end_was_missed(tick):
    task = make_production(Status.GENERATING_SFX, clips=1, assets=2)
    make_stage(task, STAGE["sfx"])
    tick()
    task.refresh_from_db()
    assert task.status == Status.GENERATING_SFX, "it may be at it this moment"
    Task.objects.update(status_since=timezone.now() - sweep.IDLE)
    tick()
    task.refresh_from_db()
    assert task.status == Status.ASSEMBLING


def test_tick_decides_about_unknown_takes(tick):
    task = make_production(Status.GENERATING_SFX, clips=1, assets=2)
    flow.advance(task)
    take = task.takes.filter(kind="sound").first()
    Take.objects.filter(pk=take.pk).update(state=State.UNKNOWN, attempt=1)
    tick()
    take.refresh_from_db()
    assert take.state == State.WAITING


def test_tick_removes_old_workspaces_of_published_tasks_only(tick, settings: Settings):
    statuses = (Status.PUBLISHED, Status.PUBLISHED, Status.UPLOAD_ERROR)
    done, young, failed = (make_production(status, clips=1, assets=2) for status in statuses)
    Task.objects.exclude(pk=young.pk).update(status_since=timezone.now() - settings.WORKSPACE_KEEP - HOUR)
    tick()
    assert [workspace.folder(task).exists() for task in (done, young, failed)] == [False, True, True]
    done.refresh_from_db()
    assert done.workspace_removed
    assert done.takes.exists()


def test_tick_forgets_dead_workers_and_stale_jobs(tick):
    Heartbeat.objects.create(name="old", cluster="calls", beat=timezone.now() - 2 * HOUR)
    Heartbeat.objects.create(name="new", cluster="calls")
    ages = (2 * HOUR, 0 * HOUR)
    jobs = [Job.objects.create(cluster="calls", created=timezone.now() - age) for age in ages]
    stock = [OrmQ.objects.create(key="calls", payload="x", lock=timezone.now() - age) for age in ages]
    assert sweep.tick()
    assert list(Job.objects.filter(pk__in=[job.pk for job in jobs])) == [jobs[1]]
    assert list(OrmQ.objects.all()) == [stock[1]]
    assert [str(heart) for heart in Heartbeat.objects.order_by("name")] == ["new", "sweep"]


def sweeping(holder: str, *, left: dt.timedelta = sweep.TURN) -> None:
    """A round of that process is under way and has so long to go."""
    row = {"cluster": SWEEP, "holder": holder, "busy_until": timezone.now() + left}
    Heartbeat.objects.update_or_create(name=SWEEP, defaults=row)


def test_tick_is_done_by_one_process_at_a_time():
    sweeping("another:1")
    assert not sweep.tick()
    sweeping("another:1", left=-sweep.TURN)
    assert sweep.tick(), "its turn has run out"
    assert sweep.tick(), "a round that ends lets go"
    assert Heartbeat.objects.sweeps()


def test_tick_takes_the_turn_of_a_dead_process_of_its_machine():
    sweeping(f"{socket.gethostname()}:4194303")
    assert sweep.tick()


def test_tick_takes_a_turn_that_no_clock_can_have_given():
    sweeping("another:1", left=3 * sweep.TURN)
    assert sweep.tick()


def test_tick_that_breaks_lets_go(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sweep, "forget_stale", lambda age: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sweep.tick()
    assert Heartbeat.objects.get(name=SWEEP).holder == ""
    assert not Heartbeat.objects.sweeps(), "no round has ended"


# ---------------------------------------------------------------- workspace


def test_folder_is_where_people_look(settings: Settings):
    take = make_take(make_task(Status.GENERATING_ASSETS), "image", 1)
    root = settings.WORKSPACE_ROOT / take.channel.slug / str(take.task_id)
    assert workspace.folder(take.task) == root
    assert workspace.run_folder(take) == root / "takes" / str(take.pk) / str(take.token)
    assert workspace.file_of(take) == root / take.output
    assert workspace.relative(take, root / "a/b.png") == "a/b.png"
    assert workspace.canonical(take, "characters/bee") == root / "assets/characters/bee.png"


def test_point_to_replaces_and_never_leaves_half_a_link():
    task = make_task(Status.GENERATING_ASSETS)
    first, second = make_take(task, "image", 1), make_take(task, "image", 1)
    link = workspace.canonical(first, "characters/bee")
    for take in (first, second, second):
        workspace.point_to(take, link)
        assert link.resolve() == workspace.file_of(take).resolve()
    assert [path.name for path in link.parent.iterdir()] == ["bee.png"]


def test_write_is_whole(tmp_path):
    path = tmp_path / "plan.json"
    workspace.write(path, "{}")
    workspace.write(path, json.dumps({"a": "ü"}))
    assert json.loads(path.read_text()) == {"a": "ü"}
    assert list(tmp_path.glob(".*")) == []


def test_scratch_is_forgotten():
    with workspace.scratch() as folder:
        (folder / "x").write_text("x")
    assert not folder.exists()


def test_tick_keeps_a_workspace_that_can_not_be_removed_on_its_list(tick, settings: Settings, monkeypatch):
    def refuse(path: Path) -> None:
        raise PermissionError(f"{path} lies on a read-only file system")

    task = make_production(Status.PUBLISHED, clips=1, assets=2)
    Task.objects.update(status_since=timezone.now() - settings.WORKSPACE_KEEP - HOUR)
    monkeypatch.setattr("shutil.rmtree", refuse)
    tick()
    task.refresh_from_db()
    assert task.workspace_removed is None


def test_tick_adds_no_jobs_to_a_line_that_is_long(do):
    line = Job.objects.bulk_create(Job(cluster="calls", package="x") for _ in range(sweep.MOST_QUEUED))
    make_task(Status.DRAFT)
    Task.objects.update(tell_at=timezone.now())
    do(sweep.tick)
    assert Job.objects.count() == sweep.MOST_QUEUED
    line[0].delete()
    do(sweep.tick)
    assert Job.objects.exclude(package="x").count() == 1


def test_remove_what_is_not_there():
    workspace.remove(make_task())


# ---------------------------------------------------------------- checks


def ids() -> set[str]:
    return {message.id for message in run_checks()}


def test_checks_find_nothing_where_all_is_there(vendors):
    assert ids() == set()


def test_check_scripts(vendors, scripts: Scripts):
    scripts.write("generate_asset.py", "")
    messages = [message.msg for message in run_checks() if message.id == "production.E001"]
    assert len(messages) == len({piece.does for piece in PIECE.values() if piece.is_script}) - 1
    assert str(scripts.folder) in messages[0]


def test_check_callables(vendors, monkeypatch):
    monkeypatch.delattr("production.planning.land")
    assert ids() == {"production.E002"}


def test_check_recipes(vendors, monkeypatch):
    monkeypatch.delitem(recipes.RECIPES, "split")
    assert ids() == {"production.E003"}


def test_check_lanes(vendors, settings: Settings, monkeypatch):
    settings.CLUSTERS = ("calls",)
    monkeypatch.delitem(providers.LANE, "upload")
    monkeypatch.setitem(providers.LANE, "video", providers.Lane("video", 8))
    assert [message.msg for message in checks.lanes_fit()] == [
        "Piece “upload” is made in lane “upload”, which there is not.",
        "Lane “video” does not say what “clip” costs.",
        "No cluster “cpu” works on lane “planning”.",
        "No cluster “cpu” works on lane “ffmpeg”.",
        "No cluster “cpu” works on lane “upload”.",
    ]


@pytest.mark.parametrize("ffmpeg", ["/no/such/ffmpeg", str(Path(__file__))])
def test_check_ffmpeg(vendors, settings: Settings, ffmpeg):
    settings.MODELS = settings.MODELS | {"FFMPEG": ffmpeg}
    assert ids() == {"production.E004"}


@pytest.mark.parametrize("ffmpeg", [sys.executable, "sh"])
def test_check_ffmpeg_of_the_operator(settings: Settings, ffmpeg):
    """By its path, or by its name on the PATH."""
    settings.MODELS = settings.MODELS | {"FFMPEG": ffmpeg}
    assert checks.ffmpeg_exists() == []


def test_check_ffmpeg_that_is_not_bundled(settings: Settings, monkeypatch):
    settings.MODELS = settings.MODELS | {"FFMPEG": ""}
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/no/such/ffmpeg")
    assert [message.id for message in checks.ffmpeg_exists()] == ["production.E004"]


def test_check_keys_of_the_vendors_that_are_real(settings: Settings):
    assert {message.msg for message in checks.keys_are_set()} == {
        f"{name} is empty." for name in ("NOTION_API_KEY", "GEMINI_API_KEY", "KIE_API_KEY", "ELEVENLABS_API_KEY")
    }
    settings.KIE_API_KEY = "set"
    settings.ADDRESSES = settings.ADDRESSES | {"GEMINI_BASE_URL": "http://127.0.0.1:1"}
    assert {message.msg[:3] for message in checks.keys_are_set()} == {"NOT", "ELE"}
    assert {message.id for message in checks.keys_are_set()} == {"production.W001"}


def test_cancelled_task_is_no_idle_task():
    task = make_production(Status.GENERATING_SFX, clips=1, assets=2)
    decisions.cancel(task, by="ada")
    assert sweep._idle_tasks() == []


def test_lane_is_rung_though_the_clock_was_put_back():
    make_take(make_task(Status.GENERATING_ASSETS), "image", 1, state=State.WAITING)
    Provider.objects.filter(pk="images").update(rung_at=timezone.now() + dt.timedelta(hours=1))
    sweep._ring_lane(Provider.objects.get(pk="images"))
    assert (dispatch.WORK, ("images",)) in rings()
