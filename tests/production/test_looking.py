"""Finished files looked over before a person does: the sandbox's have nothing wrong with them, spoilt ones do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from production import (
    asking,
    attempts,
    decisions,
    dispatch,
    explain,
    flaws,
    flow,
    holders,
    jobs,
    looking,
    settling,
    takes,
    workspace,
)
from production.attempts import Outcome
from production.errors import Kind
from production.models import Take, Task
from production.recipes import Recipe
from production.stages import PIECE, STAGE, Status
from sandbox.media import SOUNDS
from tests.factories import make_channel, make_plan, make_production, make_take, make_task, media
from tests.media import ffmpeg
from tests.production.scripts import Scripts
from tests.sandboxes import Process
from tests.scripts.conftest import ADDRESSES, run_script

pytestmark = pytest.mark.django_db
State = Take.State
TEXTS = {
    1: "After the storm the keeper lights the lamp. Below the ice the water stands still and keeps what it was given.",
    2: "Short.",
    3: "In 1889, at half past three: a whistle! Nobody, they say, had ever heard it; everybody came, and went.",
}


# ---------------------------------------------------------------- what is normal


@pytest.fixture(scope="module")
def normal(process: Process, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Path]:
    """A file of every kind as the sandbox and our scripts make them."""
    folder, files = tmp_path_factory.mktemp("normal"), {}
    addresses = {name: process.addresses[name] for name in ADDRESSES} | {"KIE_FIRST_POLL_SECONDS": 0.1}

    def make(kind: str, number: int, *flags: object) -> Path:
        path = folder / f"{kind}-{number}{PIECE[kind].suffix}"
        outcome = run_script(PIECE[kind].does, *flags, "--output", path, **addresses)
        assert outcome.code == 0, outcome.stdout
        files[kind, number] = path
        return path

    figure = make("image", 1, "--prompt", "The keeper, full figure, alone, plain white background")
    scene = make("image", 2, "--prompt", "A lighthouse on a black coast at night, dark, new moon")
    make("image", 3, "--prompt", "Fog over snow, white on white")
    pair = make("composite", 1, "--character", figure, "--environment", scene)
    split = make("split", 2, "--left", figure, "--right", scene)
    for number, still in enumerate((pair, split, scene), 1):
        make("clip", number, "--image", still, "--prompt", "She lifts the lantern, then the camera glides back")
        make("narration", number, "--text", TEXTS[number])
    for number, words in enumerate([*(keys[0] for keys, _ in SOUNDS), "a door", "water dripping in a cave"], 1):
        make("sound", number, "--text", words, "--duration", 10)
    flags = {"video": "clip", "audio": "narration", "sfx": "sound"}
    clips = [{"clip_number": n} | {flag: str(files[kind, n]) for flag, kind in flags.items()} for n in TEXTS]
    for number, more in enumerate(({}, {"fade": 1.0}), 1):
        manifest = folder / f"manifest-{number}.json"
        manifest.write_text(json.dumps({"clips": clips, **more}))
        make("film", number, "--manifest", manifest)
    return files


def test_look_over_finds_nothing_wrong_with_normal_media(normal: dict[tuple[str, int], Path]) -> None:
    looked = looking.look_over(normal, TEXTS)
    assert looked.keys() == normal.keys()
    assert {piece: found.findings for piece, found in looked.items() if found.findings} == {}
    for piece, path in normal.items():
        assert looked[piece].measured["poster"] is True
        assert looking.poster_of(path).stat().st_size < 100_000


def test_look_over_measures_the_film(normal: dict[tuple[str, int], Path]) -> None:
    said = looking.look_over({("film", 1): normal["film", 1]}, {})["film", 1].measured
    assert said["lufs"] == pytest.approx(-14, abs=0.5)
    assert said["true_peak"] <= -1.5
    assert (said["width"], said["height"], said["rate"]) == (1920, 1080, 24)


# ---------------------------------------------------------------- what is spoilt

HD = "s=1280x720:r=24"
X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
MOVES, TONE = f"testsrc2={HD}", "sine=f=300:r=44100"
HOLE = "volume='if(between(t,3,6),0,1)':eval=frame"
VOICE = "aevalsrc='0.3*sin(2*PI*300*t)*(0.6+0.4*sin(9*t))':s=44100"


def spoilt(path: Path, *sources: str, seconds: float = 10) -> Path:
    """A file of that name from lavfi sources, a picture first."""
    inputs = [part for source in sources for part in ("-f", "lavfi", "-t", seconds, "-i", source)]
    ffmpeg(*inputs, *(X264 if path.suffix == ".mp4" else ["-frames:v", 1] if path.suffix == ".png" else []), path)
    return path


def with_hole(path: Path, *sources: str) -> Path:
    """A clip whose disk has lost a block in the middle."""
    content = bytearray(spoilt(path, *sources).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4096] = bytes(4096)
    path.write_bytes(content)
    return path


SPOILT = [
    ("image", [f"color=teal:{HD}"], {}, "blank", flaws.ERROR),
    ("image", ["testsrc2=s=1024x1024"], {}, "size", flaws.WARNING),
    ("composite", ["testsrc2=s=1080x1920"], {}, "size", flaws.ERROR),
    ("clip", [f"color=teal:{HD}"], {}, "frozen", flaws.ERROR),
    ("clip", [f"color=black:{HD}"], {}, "black", flaws.ERROR),
    ("clip", [f"{MOVES},fade=t=out:st=8:d=0.5"], {}, "black", flaws.WARNING),
    ("clip", [f"{MOVES},trim=end_frame=168,tpad=stop_mode=clone:stop_duration=3"], {}, "frozen", flaws.WARNING),
    ("clip", [MOVES], {"seconds": 5}, "length", flaws.WARNING),
    ("clip", ["testsrc2=s=1080x1920:r=24"], {}, "size", flaws.ERROR),
    ("clip", ["testsrc2=s=640x360:r=24"], {}, "size", flaws.WARNING),
    ("clip", ["testsrc2=s=1920x1080:r=12"], {}, "rate", flaws.WARNING),
    ("narration", ["anullsrc=r=44100"], {"seconds": 5}, "silent", flaws.ERROR),
    ("narration", [f"{VOICE},adelay=3s"], {"seconds": 9}, "silent", flaws.WARNING),
    ("narration", [f"{VOICE},{HOLE}"], {"seconds": 9}, "silent", flaws.WARNING),
    ("narration", [f"{VOICE},volume=30dB"], {"seconds": 9}, "clipped", flaws.WARNING),
    ("narration", [VOICE], {"seconds": 12}, "overrun", flaws.WARNING),
    ("narration", [VOICE], {"seconds": 2}, "speech", flaws.WARNING),
    ("sound", ["anullsrc=r=44100"], {}, "silent", flaws.ERROR),
    ("sound", [f"{TONE},volume=30dB"], {}, "clipped", flaws.WARNING),
    ("film", [MOVES], {"seconds": 3}, "silent", flaws.ERROR),
    ("film", [MOVES, f"{VOICE},volume=-12dB"], {"seconds": 4}, "loudness", flaws.WARNING),
    ("film", [MOVES, f"{VOICE},volume=12dB"], {"seconds": 4}, "peak", flaws.WARNING),
    ("film", [MOVES, f"{VOICE},atrim=end=3"], {"seconds": 4}, "apart", flaws.WARNING),
    ("film", [f"color=black:{HD}", VOICE], {"seconds": 4}, "black", flaws.ERROR),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "sources", "words", "code", "severity"), SPOILT)
def test_look_over_finds_what_is_spoilt(
    tmp_path: Path, kind: str, sources: list[str], words: dict[str, Any], code: str, severity: str
) -> None:
    path = spoilt(tmp_path / f"{kind}{PIECE[kind].suffix}", *sources, **words)
    (looked,) = looking.look_over({(kind, 1): path}, TEXTS).values()
    (found,) = [finding for finding in looked.findings if finding["code"] == code]
    assert found["severity"] == severity, looked.findings
    assert found["words"]


@pytest.mark.parametrize("kind", ["clip", "film"])
def test_look_over_finds_what_a_disk_has_lost(tmp_path: Path, kind: str) -> None:
    path = with_hole(tmp_path / f"{kind}.mp4", MOVES, VOICE)
    (looked,) = looking.look_over({(kind, 1): path}, {}).values()
    assert looked.findings[0] | {"words": ""} == {"code": "corrupt", "severity": "error", "at": None, "words": ""}


WORDS = [["The", 0.0, 0.3], ["keeper", 0.3, 0.9], ["lights", 0.9, 1.3], ["the", 1.3, 1.5], ["lamp.", 1.5, 2.2]]
TEXT = "The keeper lights the lamp."


@pytest.mark.parametrize(
    ("seconds", "words", "code"),
    [
        (2.4, WORDS, ""),
        (2.4, WORDS[:2], "words"),
        (1.2, WORDS, "cut"),
        (7.0, WORDS, "babble"),
        (2.4, [["broken"], None, ["x", 0, "late"], *WORDS], ""),
        (2.4, [], ""),
    ],
)
def test_find_speech_against_the_voices_own_times(seconds: float, words: list[Any], code: str) -> None:
    found = flaws.find("narration", {"seconds": seconds, "silent": []}, text=TEXT, words=words)
    assert [finding.code for finding in found if finding.code != "speech"] == ([code] if code else [])


@pytest.mark.parametrize("said", [{}, {"seconds": None, "black": "x", "silent": [[1], None, ["a", 2]], "width": [3]}])
@pytest.mark.parametrize("kind", ["image", "clip", "film", "narration", "sound"])
def test_find_takes_any_figures(kind: str, said: dict[str, Any]) -> None:
    assert len(flaws.find(kind, said, text=TEXT, words=WORDS)) <= flaws.MOST


# ---------------------------------------------------------------- part of a take's work


def claim(kind: str = "image", status: Status = Status.GENERATING_ASSETS) -> Take:
    make_take(
        make_task(status), kind, 1, state=State.WAITING, recipe=Recipe(kind, "a lantern", ["--prompt", "a lantern"])
    )
    (take,) = dispatch.claim(PIECE[kind].lane, 1)
    return take


def carry_out(take: Take) -> Outcome:
    ((_, outcome),) = attempts.carry_out([take], seconds=60)
    return outcome


def test_work_keeps_what_was_found_with_the_take(scripts: Scripts) -> None:
    scripts.write("generate_asset.py", "finish()")
    task = make_task(Status.GENERATING_ASSETS)
    make_plan(task)
    take = make_take(task, "image", 1, state=State.WAITING, recipe=Recipe("image", "a lantern"))
    jobs.work("images")
    take.refresh_from_db()
    assert (take.state, take.selected) == (State.DONE, True)
    assert [finding["code"] for finding in take.findings] == ["blank", "size"]
    assert take.measured == {"width": 320, "height": 180, "spread": 0, "poster": True}
    assert looking.poster_of(workspace.file_of(take)).is_file()


def test_carry_out_is_done_although_the_look_breaks(scripts: Scripts, settings: Settings, tmp_path: Path) -> None:
    scripts.write("generate_asset.py", "finish()")
    settings.OWN_SCRIPTS_DIR = tmp_path
    (tmp_path / looking.SCRIPT).write_text("raise SystemExit('no such library')")
    for body in (
        "raise SystemExit('no such library')",
        "print('[1]')",
        'print(\'{"event": "measured", "width": [], "x": NaN}\')',
    ):
        (tmp_path / looking.SCRIPT).write_text(body)
        outcome = carry_out(claim())
        assert outcome.output
        assert outcome.trouble is None
        assert outcome.looked.findings
    (tmp_path / looking.SCRIPT).unlink()
    (finding,) = carry_out(claim()).looked.findings
    assert (finding["code"], finding["severity"]) == ("unseen", "warning")
    assert looking.SCRIPT in finding["words"]


def test_carry_out_ends_a_look_that_takes_too_long(
    scripts: Scripts, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts.write("generate_asset.py", "finish()")
    settings.OWN_SCRIPTS_DIR = tmp_path
    (tmp_path / looking.SCRIPT).write_text("import time; time.sleep(600)")
    monkeypatch.setattr(looking, "LIMIT", 0)
    (finding,) = carry_out(claim()).looked.findings
    assert finding["words"] == "could not be looked over: it took too long"


PATIENT = """
from pathlib import Path
import time
here = Path(__file__).parent
with (here / "started").open("a") as file:
    file.write("x")
while not (here / "go").exists():
    time.sleep(0.02)
print('{"event": "measured", "width": 1920, "height": 1080, "spread": 99}')
"""


def test_carry_out_takes_over_a_look_whose_worker_is_gone(scripts: Scripts, settings: Settings, tmp_path: Path) -> None:
    scripts.write("generate_asset.py", "finish()")
    settings.OWN_SCRIPTS_DIR = tmp_path
    started = tmp_path / "started"
    (tmp_path / looking.SCRIPT).write_text(PATIENT)
    take = claim()
    assert list(attempts.carry_out([take], seconds=2.5)) == []
    assert started.read_text() == "x"
    (adopted,) = dispatch.adopt("images", 1)
    (tmp_path / "go").touch()
    outcome = carry_out(adopted)
    assert (outcome.looked.measured["width"], outcome.looked.findings) == (1920, [])
    assert started.read_text() == "x", "nobody looks twice"


def test_carry_out_of_what_a_disk_has_changed_names_the_piece() -> None:
    task = make_production(Status.ASSEMBLING)
    flow.advance(task)
    (film,) = dispatch.claim("ffmpeg", 1)
    path = workspace.file_of(Take.objects.get(task=task, kind="clip", position=2, selected=True))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    trouble = carry_out(film).trouble
    assert trouble.kind == Kind.PERMANENT
    assert trouble.message.startswith("clip 2 is not as it was made: ")
    assert "\n" not in trouble.message


# ---------------------------------------------------------------- and of its gate

BLACK = [flaws.Finding("black", "is black for 10.0 s", flaws.ERROR, 0.0).as_json()]
NO_GATES: list[str] = []


def finished(stage: str, findings: list[dict[str, Any]], do: Callable[..., Any]) -> Task:
    """A task whose last piece of the stage has just been settled with these findings; its channel asks nowhere."""
    running = STAGE[stage].running
    task = make_production(running, channel=make_channel(gates=NO_GATES))
    do(flow.advance_by_id, task.pk)
    waiting = list(task.takes.filter(state=State.WAITING).order_by("position"))
    for take in waiting:
        take = takes.claim([take.pk], holders.me(), take.created)[0]
        path = workspace.run_folder(take) / f"{take.kind}{take.piece.suffix}"
        path.parent.mkdir(parents=True)
        path.write_bytes(media(take.piece.suffix, 1))
        looked = looking.Looked(findings if take.pk == waiting[-1].pk else [])
        do(settling.settle, take, Outcome(output=path, sha256="0" * 64, size=1, looked=looked))
    task.refresh_from_db()
    return task


@pytest.mark.parametrize("stage", ["video", "sfx", "composites"])
def test_settle_of_a_useless_piece_opens_a_gate_that_the_channel_does_not_ask_at(
    stage: str, do: Callable[..., Any], at_once: None
) -> None:
    task = finished(stage, BLACK, do)
    assert task.status == STAGE[stage].ready
    assert asking.queue(None).filter(pk=task.pk).exists()
    assert "2 is black for 10.0 s" in str(explain.why(task))
    assert "2 is black for 10.0 s" in task.changes.filter(verb="note").last().reason
    do(flow.start_waiting, task.channel_id)
    task.refresh_from_db()
    assert task.status == STAGE[stage].ready, "it waits for a yes"
    do(decisions.approve, task, by="olga")
    do(flow.start_waiting, task.channel_id)
    task.refresh_from_db()
    assert task.status not in (STAGE[stage].ready, STAGE[stage].approved)


@pytest.mark.parametrize("stage", ["video", "sfx", "composites"])
def test_settle_of_a_piece_with_a_warning_goes_on(stage: str, do: Callable[..., Any]) -> None:
    warning = [flaws.Finding("frozen", "stands still for 3.0 s").as_json()]
    task = finished(stage, warning, do)
    assert task.status not in (STAGE[stage].ready, STAGE[stage].running)
    assert not asking.queue(None).filter(pk=task.pk).exists()


def test_redo_of_a_useless_piece_lets_the_task_go_on(do: Callable[..., Any]) -> None:
    task = finished("video", BLACK, do)
    do(decisions.redo, task, [("clip", 2)], by="olga")
    task.refresh_from_db()
    assert task.status == Status.GENERATING_VIDEO
