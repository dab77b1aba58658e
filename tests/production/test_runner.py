"""Real scripts, really started: what they leave behind, also when they or their starter are killed."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from pytest_django import Settings

from production import runner
from production.runner import Order, Report, Run
from tests import ROOT
from tests.production.scripts import Scripts
from tests.waiting import eventually

SECRET = "sk-very-secret"


def order(tmp_path: Path, script: str = "make.py", **words: object) -> Order:
    folder = tmp_path / "run"
    output = folder / "image.png"
    facts = {"env": {}, "secrets": {}, "seconds": 20, "flags": ["--output", str(output)]}
    return Order(script=script, folder=folder, output=output, **facts | words)


def run(order: Order, seconds: float = 20) -> Report:
    (ended,) = runner.watch([runner.start(order)], seconds=seconds, beat=lambda: True, every=0.02)
    return ended.report()


# ---------------------------------------------------------------- what a script can do


def test_start_a_script_that_does_its_work(scripts: Scripts, tmp_path):
    scripts.write("make.py", "say('progress', done=1, of=2)\nprint('own talk')\nfinish()\nsay('cost', usd=0.03)")
    report = run(order(tmp_path))
    assert (report.code, report.timed_out, report.stderr) == (0, False, "")
    assert report.output.read_bytes().startswith(b"\x89PNG")
    assert [event["event"] for event in report.events] == ["progress", "cost"]
    assert report.said("cost") == {"event": "cost", "usd": 0.03}
    assert report.said("error") is None


def test_start_a_script_that_writes_nothing(scripts: Scripts, tmp_path):
    scripts.write("make.py", "")
    report = run(order(tmp_path))
    assert (report.code, report.output, report.events) == (0, None, [])


def test_start_a_script_that_fails(scripts: Scripts, tmp_path):
    scripts.write("make.py", "sys.exit('the model is gone')")
    report = run(order(tmp_path))
    assert (report.code, report.stderr) == (1, "the model is gone")


def test_start_a_script_that_is_not_there(scripts: Scripts, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"make.py is not in .*; set SCRIPTS_DIR"):
        runner.start(order(tmp_path))


def test_start_gives_env_secrets_and_nothing_else(scripts: Scripts, tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://not-for-scripts")
    scripts.write("make.py", "say('env', cwd=os.getcwd(), **os.environ)")
    said = run(order(tmp_path, env={"PHASE": "submit"}, secrets={"SOME_KEY": "x"})).said("env")
    assert (said["PHASE"], said["SOME_KEY"] != "", said["cwd"]) == ("submit", True, str(scripts.folder))
    harmless = {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SCRIPTS_ENV_FILE", "SSL_CERT_FILE"}
    shells_own = {"LC_CTYPE", "PWD", "SHLVL", "_"}  # set by the shell and by Python themselves
    assert said.keys() - harmless - shells_own == {"event", "cwd", "PHASE", "SOME_KEY"}


def test_start_uses_the_operators_python(scripts: Scripts, tmp_path, settings: Settings):
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@" --seen\n')
    wrapper.chmod(0o755)
    settings.SCRIPTS_PYTHON = str(wrapper)
    scripts.write("make.py", "say('flags', last=sys.argv[-1])")
    assert run(order(tmp_path)).said("flags")["last"] == "--seen"


@pytest.mark.parametrize(
    "body",
    [
        "os.write(1, bytes(range(256)) * 40)",
        "os.write(1, b'{' * 100_000)",
        "os.write(1, b'[' * 100_000 + b'\\n{\"event\": 3}\\n{\"event\"\\n[1]\\nnull\\n')",
        "os.write(1, b'{\"event\": \"cost\", \"usd\": ' + b'9' * 5000 + b'}\\n')",
        "sys.stdout.write('nonsense\\n' * 1_000_000)",
    ],
    ids=["binary", "one long line", "broken JSON", "huge number", "a million lines"],
)
def test_report_of_garbage_is_no_event(scripts: Scripts, tmp_path, body):
    scripts.write("make.py", f"{body}\nsys.stdout.flush()\nfinish()")
    report = run(order(tmp_path))
    assert (report.code, report.events) == (0, [])
    assert report.output


def test_report_caps_what_it_reads(scripts: Scripts, tmp_path):
    scripts.write("make.py", "say('first')\nprint('x' * 1_100_000)\nsay('last')\nsys.exit('e' * 9999)")
    report = run(order(tmp_path))
    assert [event["event"] for event in report.events] == ["last"]
    assert len(report.stderr) == runner.MOST_ERRORS


def test_report_makes_text_fit_for_the_database(scripts: Scripts, tmp_path):
    r"""JSON may say \u0000 and half a surrogate pair, PostgreSQL may not."""
    body = r"""print('{"event": "error", "message": "a\\u0000b\\ud800c", "words": [["\\u0000"]]}')"""
    scripts.write("make.py", f"{body}\nsys.stderr.write('d\\0e')")
    report = run(order(tmp_path))
    assert report.said("error") == {"event": "error", "message": "ab?c", "words": [[""]]}
    assert report.stderr == "de"


@pytest.mark.parametrize("padding", [0, runner.MOST_ERRORS - 5], ids=["whole", "across the cut"])
def test_report_hides_secrets(scripts: Scripts, tmp_path, padding):
    scripts.write(
        "make.py",
        f"key = os.environ['KEY']\nsay('error', message=f'401 for {{key}}')\nsys.exit(key + 'x' * {padding})",
    )
    report = run(order(tmp_path, secrets={"KEY": SECRET, "EMPTY": ""}))
    assert report.said("error")["message"] == "401 for ***"
    assert SECRET[-4:] not in report.stderr
    assert report.stderr


# ---------------------------------------------------------------- time limits, kills, adoption


def is_running(pid: int) -> bool:
    """False also for a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def appears(path: Path) -> str:
    return eventually(lambda: path.exists() and path.read_text())


HANGS = """
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open(output + ".child", "w").write(str(child.pid))
time.sleep(60)
"""


def test_watch_ends_a_script_that_hangs_and_its_children(scripts: Scripts, tmp_path):
    scripts.write("make.py", HANGS)
    hangs = order(tmp_path, seconds=0)
    started = runner.start(hangs)
    child = int(appears(Path(f"{hangs.output}.child")))
    (ended,) = runner.watch([started], seconds=20, beat=lambda: True, every=0.02)
    report = ended.report()
    assert (report.code, report.timed_out, report.output) == (None, True, None)
    eventually(lambda: not is_running(child), 5)  # SIGKILL is sent to all at once, and they end one by one


def test_watch_returns_while_a_script_goes_on(scripts: Scripts, tmp_path):
    scripts.write("make.py", "open(output + '.begun', 'w').write('x')\nopen(output + '.go').read()\nfinish()")
    slow = order(tmp_path)
    slow.folder.mkdir()
    os.mkfifo(f"{slow.output}.go")
    started, beats = runner.start(slow), []
    assert list(runner.watch([started], seconds=0.1, beat=lambda: beats.append(1) is None, every=0.02)) == []
    assert beats
    started.leave()
    adopted = runner.find(slow)
    assert adopted.is_alive()
    Path(f"{slow.output}.go").write_text("now")
    (ended,) = runner.watch([adopted], seconds=20, beat=lambda: True, every=0.02)
    assert ended.report().code == 0
    assert started.report().output == slow.output


STARTER = """
import json, os, signal, sys
from pathlib import Path
import django
from django.conf import settings
settings.configure(SCRIPTS_DIR=Path(sys.argv[1]), SCRIPTS_PYTHON="")
from production import runner
facts = json.loads(sys.argv[2])
runner.start(runner.Order(**facts | {"folder": Path(facts["folder"]), "output": Path(facts["output"])}))
os.kill(os.getpid(), signal.SIGKILL)
"""


def start_and_die(scripts: Scripts, wanted: Order) -> None:
    """Start the order in a process that is killed right after."""
    facts = json.dumps({**vars(wanted), "folder": str(wanted.folder), "output": str(wanted.output)})
    command = [sys.executable, "-c", textwrap.dedent(STARTER), str(scripts.folder), facts]
    died = subprocess.run(command, cwd=ROOT, check=False, timeout=60)
    assert died.returncode == -signal.SIGKILL


def test_find_a_run_whose_starter_was_killed(scripts: Scripts, tmp_path):
    scripts.write("make.py", "open(output + '.go').read()\nsay('cost', usd=1)\nfinish()")
    wanted = order(tmp_path)
    wanted.folder.mkdir()
    os.mkfifo(f"{wanted.output}.go")
    start_and_die(scripts, wanted)
    found = runner.find(wanted)
    assert found.is_alive()
    Path(f"{wanted.output}.go").write_text("now")
    (ended,) = runner.watch([found], seconds=20, beat=lambda: True, every=0.02)
    report = ended.report()
    assert (report.code, report.output, report.said("cost")["usd"]) == (0, wanted.output, 1)


def test_find_nothing_where_nothing_was_started(tmp_path):
    assert runner.find(order(tmp_path)) is None


def test_find_a_process_that_vanished(scripts: Scripts, tmp_path):
    """Power cut, out-of-memory killer: shell and script are gone, no exit code was written."""
    scripts.write("make.py", HANGS)
    gone = order(tmp_path)
    started = runner.start(gone)
    appears(Path(f"{gone.output}.child"))
    os.killpg(int(appears(gone.folder / "pid")), signal.SIGKILL)
    (ended,) = runner.watch([runner.find(gone)], seconds=20, beat=lambda: True, every=0.02)
    report = ended.report()
    assert (report.code, report.timed_out) == (None, False)
    started.report()


def test_end_what_has_ended_already_kills_nobody(scripts: Scripts, tmp_path):
    scripts.write("make.py", "finish()")
    over = order(tmp_path)
    run(over)
    late = Run(over)
    (over.folder / "pid").write_text(str(os.getpid()))
    assert not late.is_alive()
    (over.folder / "pid").write_text("nonsense")
    late.end()
    assert late.timed_out


def test_end_kills_nobody_where_another_machine_has_started_it(scripts: Scripts, tmp_path):
    """The same number is some other process here."""
    scripts.write("make.py", HANGS)
    theirs = order(tmp_path, is_here=False)
    started = runner.start(theirs)
    appears(Path(f"{theirs.output}.child"))
    found = runner.find(theirs)
    found.end()
    with pytest.raises(subprocess.TimeoutExpired):
        started.process.wait(0.2)
    os.killpg(started.process.pid, signal.SIGKILL)
    assert started.report().code is None
    assert found.timed_out


def test_watch_many_each_is_told_once(scripts: Scripts, tmp_path):
    scripts.write("make.py", "finish()")
    runs = [runner.start(order(tmp_path / str(number))) for number in range(4)]
    ended = list(runner.watch(runs, seconds=20, beat=lambda: True, every=0.02))
    assert sorted(ended, key=runs.index) == runs
    assert [each.report().code for each in ended] == [0] * 4
