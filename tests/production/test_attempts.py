"""One attempt of a take: what the script is given, and what its exit, words and output are taken for."""

import datetime as dt
import json
import os
import socket
import time
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path

import psutil
import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from channels_app.models import Token
from production import attempts, dispatch, jobs, runner, settling, stages, takes, workspace
from production.attempts import Outcome
from production.errors import Kind
from production.models import Alert, Take
from production.recipes import Recipe
from production.stages import Status
from tests.factories import make_take, make_task
from tests.production.begun import advanced, claimed
from tests.production.scripts import Scripts
from tests.vendor import answering
from tests.waiting import eventually

pytestmark = pytest.mark.django_db
State = Take.State


@pytest.fixture
def quick_looks(settings: Settings) -> None:
    """Running scripts are looked at every 25 ms."""
    settings.LEASE = dt.timedelta(milliseconds=100)


def claim(kind: str = "image", status: Status = Status.GENERATING_ASSETS, **words: object) -> Take:
    words = {"recipe": Recipe(kind, "a lantern", ["--prompt", "a lantern"])} | words
    make_take(make_task(status), kind, 1, state=State.WAITING, **words)
    (take,) = dispatch.claim(stages.PIECE[kind].lane, 1)
    return take


def carry_out(take: Take, seconds: float = 20) -> Outcome:
    ((found, outcome),) = attempts.carry_out([take], seconds=seconds)
    assert found is take
    return outcome


def speaking(take: Take) -> runner.Run:
    """The take's script at work: it has said its first word."""
    run = runner.start(attempts.write_order(take))
    eventually(lambda: runner.events(run.order.folder, {}))
    return run


def outcome_of(scripts: Scripts, body: str, **words: object) -> Outcome:
    scripts.write("generate_asset.py", body)
    return carry_out(claim(**words))


# ---------------------------------------------------------------- judged


def test_carry_out_good(scripts: Scripts):
    outcome = outcome_of(scripts, "finish()\nsay('cost', usd=0.0336)")
    assert outcome.trouble is None
    assert outcome.usd == Decimal("0.0336")
    assert outcome.output.read_bytes().startswith(b"\x89PNG")


def test_carry_out_sound_is_measured_and_keeps_its_words(scripts: Scripts):
    scripts.write("generate_audio.py", "finish()\nsay('timings', words=[['Once', 0.0, 0.4]])", suffix=".mp3")
    outcome = carry_out(claim("narration", Status.GENERATING_AUDIO))
    assert outcome.seconds == pytest.approx(1, abs=0.1)
    assert outcome.result == {"words": [["Once", 0.0, 0.4]]}


SAID = "say('sending')\n"
STARTED = "say('started')\n"


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("say('error', kind='refused', message='no faces')\nsys.exit(1)", Kind.REFUSED, "no faces"),
        ("say('error', kind='quota')\nsys.exit(1)", Kind.QUOTA, "generate_asset.py failed without a word"),
        ("say('error', kind='nonsense', message='x')\nsys.exit('the end')", Kind.UNKNOWN, "failed (1): the end"),
        ("sys.exit(3)", Kind.UNKNOWN, "failed (3): without a word"),
        ("", Kind.UNKNOWN, "ended well but wrote no png file"),
        (STARTED, Kind.PERMANENT, "ended well but wrote no png file"),
        (STARTED + SAID, Kind.UNKNOWN, "ended well but wrote no png file"),
        (STARTED + "sys.exit('bad flags')", Kind.PERMANENT, "bad flags"),
        (STARTED + SAID + "sys.exit('broken pipe')", Kind.UNKNOWN, "broken pipe"),
        ("open(output, 'w').write('<html>')", Kind.UNKNOWN, "not a readable image"),
        (STARTED + "open(output, 'w').write('<html>')", Kind.PERMANENT, "not a readable image"),
        ("open(output, 'w').write('<html>')\nsay('cost', usd=0.03)", Kind.PERMANENT, "not a readable image"),
        (STARTED + "os.kill(0, 9)", Kind.TRANSIENT, "vanished: its process was killed"),
        (STARTED + SAID + "os.kill(0, 9)", Kind.UNKNOWN, "vanished: its process was killed"),
        ("os.kill(0, 9)", Kind.UNKNOWN, "vanished: its process was killed"),
    ],
)
def test_carry_out_trouble(scripts: Scripts, body, kind, message):
    trouble = outcome_of(scripts, body).trouble
    assert trouble.kind == kind
    assert message in trouble.message


@pytest.mark.parametrize(("body", "kind"), [(STARTED, Kind.TRANSIENT), (SAID, Kind.UNKNOWN)])
def test_carry_out_overdue(scripts: Scripts, quick_looks: None, body, kind):
    scripts.write("generate_asset.py", f"{body}time.sleep(60)")
    take = claim()
    run, limit = speaking(take), take.piece.seconds
    (run.order.folder / "began").write_text(str(time.monotonic() - limit - 1))
    trouble = carry_out(take).trouble
    assert (trouble.message, trouble.kind) == (f"generate_asset.py was ended: no result within {limit} s", kind)
    run.report()


@pytest.mark.parametrize("step", [-86_400, 86_400])
def test_carry_out_after_the_clock_was_set(scripts: Scripts, quick_looks: None, step):
    """A day forward or back ends no script: its time is counted by a clock that nobody sets."""
    scripts.write("generate_asset.py", f"{STARTED}time.sleep(1)\nsys.exit('done')")
    take = claim()
    run = speaking(take)
    os.utime(run.order.folder / "pid", (0, time.time() + step))
    assert "done" in carry_out(take).trouble.message
    run.report()


@pytest.mark.parametrize(
    ("said", "pause"),
    [
        ("30", 30.0),
        ("0", 0.0),
        ("-5", None),
        ("float('nan')", None),
        ("float('inf')", None),
        ("1e300", None),
        ("'soon'", None),
        ("None", None),
        ("10**400", None),
    ],
)
def test_trouble_retry_after_is_bounded(scripts: Scripts, said, pause):
    body = f"say('error', kind='transient', message='x', retry_after={said})\nsys.exit(1)"
    assert outcome_of(scripts, body).trouble.retry_after == pause


@pytest.mark.parametrize(
    ("said", "usd"),
    [
        ("0.275", Decimal("0.275")),
        ("'0.1'", Decimal("0.1")),
        ("'much'", None),
        ("-1", None),
        ("5000", None),
        ("float('nan')", None),
        ("None", None),
        ("[1]", None),
        ("0", Decimal(0)),
    ],
)
def test_cost_is_believed_within_reason(scripts: Scripts, said, usd):
    assert outcome_of(scripts, f"finish()\nsay('cost', usd={said})").usd == usd


def test_cost_without_a_sum_is_none(scripts: Scripts):
    assert outcome_of(scripts, "finish()\nsay('cost', units=3)").usd is None


# ---------------------------------------------------------------- what a script is given


def test_start_passes_files_of_the_sources(scripts: Scripts):
    task = make_task(Status.GENERATING_COMPOSITES)
    left, right = make_take(task, "image", 1), make_take(task, "image", 2)
    flags = ["--left", {"take": left.pk}, "--right", {"take": right.pk}]
    make_take(task, "split", 1, recipe=Recipe("split", flags=flags, sources=(left, right)), state=State.WAITING)
    scripts.write("create_split_screen.py", "say('flags', given=sys.argv[1:5])\nfinish()")
    (take,) = dispatch.claim("ffmpeg", 1)
    assert carry_out(take).output
    said = runner.events(workspace.run_folder(take), {})[0]["given"]
    assert said == ["--left", str(workspace.file_of(left)), "--right", str(workspace.file_of(right))]


def test_start_writes_a_manifest_with_real_paths(scripts: Scripts):
    task = make_task(Status.ASSEMBLING)
    clip = make_take(task, "clip", 1)
    recipe = Recipe("film", flags=["--manifest", {"json": {"clips": [{"video": {"take": clip.pk}}]}}], sources=(clip,))
    make_take(task, "film", recipe=recipe, state=State.WAITING)
    scripts.write("assemble_video.py", "say('saw', **json.load(open(sys.argv[2])))\nfinish()", suffix=".mp4")
    (take,) = dispatch.claim("ffmpeg", 1)
    assert carry_out(take).output
    said = runner.events(workspace.run_folder(take), {})[0]
    assert said["clips"] == [{"video": str(workspace.file_of(clip))}]


def test_start_hands_over_the_channels_own_key_and_no_other(scripts: Scripts, settings: Settings):
    settings.GEMINI_API_KEY, settings.KIE_API_KEY = "common", "kie"
    scripts.write("generate_asset.py", "say('keys', **{k: v for k, v in os.environ.items() if 'KEY' in k})\nfinish()")
    first, second = claim(), claim()
    Token.objects.create(channel=second.channel, name="GEMINI_API_KEY", value="own")
    Token.objects.create(channel=second.channel, name="KIE_API_KEY", value="own-kie")
    assert attempts.write_order(first).secrets == {"GEMINI_API_KEY": "common"}
    assert attempts.write_order(second).secrets == {"GEMINI_API_KEY": "own"}
    carry_out(second)
    said = runner.events(workspace.run_folder(second), {})[0]
    assert said == {"event": "keys", "GEMINI_API_KEY": "own"}


def test_start_submits_a_render_with_a_way_to_call_back(scripts: Scripts, settings: Settings):
    settings.PUBLIC_URL = "https://studio.example"
    scripts.write("generate_video.py", "say('submitted', ref=os.environ['CALLBACK_URL'])")
    take = claim("clip", Status.GENERATING_VIDEO)
    outcome = carry_out(take)
    assert outcome.ref == f"https://studio.example/callback/{take.token}"
    assert (outcome.output, outcome.trouble) == (None, None)


def test_start_gives_the_script_a_signed_address_of_its_still(scripts: Scripts, settings: Settings):
    settings.PUBLIC_URL = "https://studio.example"
    take = claim("clip", Status.GENERATING_VIDEO)
    still = make_take(take.task, "composite", 1)
    take.sources.set([still])
    assert "SEED_URL" not in attempts.write_order(take).env, "only where it was chosen"
    settings.MODELS = settings.MODELS | {"SEED_UPLOAD": "signed"}
    url = attempts.write_order(take).env["SEED_URL"]
    assert url.startswith("https://studio.example/media/signed/")
    with closing(Client().get(url.removeprefix("https://studio.example"))) as response:
        assert b"".join(response.streaming_content) == workspace.file_of(still).read_bytes()


def test_start_collects_a_render(scripts: Scripts):
    scripts.write("generate_video.py", "say('saw', **os.environ)\nfinish()", suffix=".mp4")
    take = claim("clip", Status.GENERATING_VIDEO, ref="job-1", attempt=1)
    assert carry_out(take).output
    said = runner.events(workspace.run_folder(take), {})[0]
    assert (said["PHASE"], said["REF"]) == ("collect", "job-1")


def test_start_takes_a_classic_script_that_ignores_phases(scripts: Scripts):
    scripts.write("generate_video.py", "finish()", suffix=".mp4")
    assert carry_out(claim("clip", Status.GENERATING_VIDEO)).output


def test_start_without_the_script_fails_for_good(scripts: Scripts):
    trouble = carry_out(claim()).trouble
    assert trouble.kind == Kind.PERMANENT
    assert "set SCRIPTS_DIR" in trouble.message


def test_carry_out_lets_go_of_a_script_that_goes_on(scripts: Scripts):
    scripts.write("generate_asset.py", "open(output + '.go').read()\nfinish()")
    take = claim()
    folder = workspace.run_folder(take)
    folder.mkdir(parents=True)
    os.mkfifo(folder / "image.png.go")
    assert list(attempts.carry_out([take], seconds=0.05)) == []
    (adopted,) = dispatch.adopt("images", 1)
    assert adopted.pk == take.pk
    (folder / "image.png.go").write_text("now")
    assert carry_out(adopted).output
    with suppress(ChildProcessError):  # whoever has started the look at its image has waited for it
        os.waitpid(int((folder / "pid").read_text()), 0)


def test_carry_out_tells_the_progress(scripts: Scripts, quick_looks: None):
    scripts.write("generate_asset.py", "say('progress', done=3, of=9)\ntime.sleep(60)")
    take = claim()
    run = speaking(take)
    assert list(attempts.carry_out([take], seconds=0.1)) == []
    take.refresh_from_db()
    assert take.progress == "3/9"
    run.end()
    run.report()


# ---------------------------------------------------------------- found again


@pytest.mark.parametrize(
    ("kind", "status", "ref", "expected"),
    [
        ("image", Status.GENERATING_ASSETS, "", Kind.UNKNOWN),
        ("clip", Status.GENERATING_VIDEO, "job-1", Kind.TRANSIENT),
        ("composite", Status.GENERATING_COMPOSITES, "", Kind.TRANSIENT),
    ],
    ids=["paid", "collecting", "free"],
)
def test_carry_out_of_a_lost_machine(scripts: Scripts, kind, status, ref, expected):
    take = claim(kind, status, ref=ref)
    take.host = f"not-{socket.gethostname()}"
    assert carry_out(take).trouble.kind == expected


def test_write_order_knows_whose_process_it_is():
    take = claim()
    assert attempts.write_order(take).is_here
    take.host = f"not-{socket.gethostname()}"
    assert not attempts.write_order(take).is_here


def test_call_that_was_begun_before_is_unknown():
    take = claim("plan", Status.GENERATING_ASSETS)
    workspace.run_folder(take).mkdir(parents=True)
    trouble = carry_out(take).trouble
    assert trouble.kind == Kind.UNKNOWN
    assert "worker was killed" in trouble.message


def test_call_whose_result_is_there_is_not_made_again():
    take = claim("plan", Status.GENERATING_ASSETS)
    folder = workspace.run_folder(take)
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps({"story": "kept"}))
    outcome = carry_out(take)
    assert (outcome.result, outcome.trouble) == ({"story": "kept"}, None)


def test_adopt_leaves_a_call_alone_that_is_still_at_work(settings: Settings):
    """A plan may be silent for longer than a lease; who adopted it meanwhile would buy it again."""
    settings.LEASE = dt.timedelta(0)
    take = claim("plan", Status.GENERATING_ASSETS)
    workspace.run_folder(take).mkdir(parents=True)
    with runner.holding(workspace.run_folder(take)):
        assert dispatch.adopt("planning", 1) == []
    assert dispatch.adopt("planning", 1) == [take]


@pytest.mark.parametrize(("state", "dead"), [("fail", True), ("success", False)])
def test_collected_job_that_has_failed_is_told_apart(scripts: Scripts, state, dead):
    body = f"say('state', ref='job-1', state='{state}')\nsay('error', kind='transient', message='x')\nsys.exit(1)"
    scripts.write("generate_video.py", body)
    outcome = carry_out(claim("clip", Status.GENERATING_VIDEO, ref="job-1"))
    assert (outcome.trouble.kind, outcome.dead_ref) == (Kind.TRANSIENT, dead)


# ---------------------------------------------------------------- asked


def test_ask_one_script_about_all_renders(scripts: Scripts):
    scripts.write(
        "generate_video.py",
        "for ref in os.environ['REFS'].split(','):\n"
        "    say('state', ref=ref, state='generating', phase=os.environ['PHASE'])",
    )
    first, second = claim("clip", Status.GENERATING_VIDEO), claim("clip", Status.GENERATING_VIDEO)
    takes.submitted(first, "job-1")
    takes.submitted(second, "job-2")
    states, accounts = attempts.ask([first, second])
    assert accounts == {"the common key": ""}
    assert {ref: line["state"] for ref, line in states.items()} == {"job-1": "generating", "job-2": "generating"}
    assert {line["phase"] for line in states.values()} == {"poll"}
    assert not list(Path(workspace.settings.WORKSPACE_ROOT).glob(".ask-*"))


def test_ask_a_script_that_crashes_says_nothing(scripts: Scripts):
    scripts.write("generate_video.py", "sys.exit('down')")
    take = claim("clip", Status.GENERATING_VIDEO)
    takes.submitted(take, "job-1")
    assert attempts.ask([take]) == ({}, {}), "neither an answer nor a lasting refusal"


@pytest.fixture
def rendering(scripts: Scripts) -> Take:
    """A render of a channel with a key of its own, which its provider has."""
    take = claim("clip", Status.GENERATING_VIDEO)
    Token.objects.create(channel=take.channel, name="KIE_API_KEY", value="its own")
    takes.submitted(take, "job-1")
    return take


def test_ask_without_its_script_is_said(rendering: Take, settings: Settings, tmp_path: Path):
    settings.SCRIPTS_DIR = tmp_path
    states, accounts = attempts.ask([rendering])
    assert not states
    assert "generate_video.py is not in" in accounts[f"channel {rendering.channel.slug}"]


def test_ask_with_one_unreadable_token_asks_for_the_others(scripts: Scripts, rendering: Take):
    scripts.write("generate_video.py", "say('state', ref=os.environ['REFS'], state='generating')")
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {Token._meta.db_table} SET value = 'of another key'")
    other = claim("clip", Status.GENERATING_VIDEO)
    takes.submitted(other, "job-2")
    states, accounts = attempts.ask([rendering, other])
    assert list(states) == ["job-2"]
    assert [bool(trouble) for _, trouble in sorted(accounts.items())] == [True, False]


def test_ask_that_the_provider_refuses_is_an_alert_until_it_answers(scripts: Scripts, rendering: Take):
    """As our own script says it; another account's answer in between ends nothing."""
    refused = "say('state', ref='job-1', state='unreachable', kind='permanent', message='401: the key is wrong')"
    answers = "say('state', ref='job-1', state='generating')"
    cause = f"asking:video:channel {rendering.channel.slug}"
    for body, told in ((refused, 1), (refused, 1), (answers, 0)):
        scripts.write("generate_video.py", body)
        Take.objects.update(due_at=timezone.now())
        jobs.ask("video")
        assert Alert.objects.open().filter(cause=cause).count() == told
        settling.tell_of_asking("video", "the common key", "")
        assert Alert.objects.open().filter(cause=cause).count() == told
    assert "401: the key is wrong" in Alert.objects.get().message


def test_ask_with_the_real_script_and_a_key_that_kie_refuses(settings: Settings, rendering: Take):
    refusal = {"code": 401, "msg": "You do not have access permissions"}
    with answering(200, json.dumps(refusal).encode()) as (address, _met):
        settings.ADDRESSES = settings.ADDRESSES | {"KIE_BASE_URL": address}
        settings.SCRIPTS_DIR = settings.BASE_DIR / "scripts"
        _states, accounts = attempts.ask([rendering])
    assert "401" in accounts[f"channel {rendering.channel.slug}"]


def test_job_that_breaks_leaves_no_pipe_behind(scripts: Scripts):
    scripts.write("create_composite.py", "time.sleep(2)")
    advanced(Status.GENERATING_COMPOSITES, clips=2, assets=2)
    before = psutil.Process().num_fds()

    def away() -> bool:
        raise RuntimeError("the database is away")

    with pytest.raises(RuntimeError):
        list(attempts.carry_out([claimed("ffmpeg")], seconds=5, go_on=away))
    assert psutil.Process().num_fds() == before
