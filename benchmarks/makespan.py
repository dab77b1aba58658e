"""Five videos of six clips over three channels, from queued to the film's approval, against the lower bound (`bound`).

Everything is the product's own: web server, clusters, ledger, Notion written to (the sandbox's), the plan asked for.
Only the scripts are the measure's (`script`): canned media, the providers' times below, and real seconds of a core
where ffmpeg would work. No gate is asked for but the last, where the yes comes at once; the upload lane is paused,
because releasing is not making. A finished render calls back, as KIE does, and is asked about every 10 s besides.
"""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imageio_ffmpeg

from benchmarks.bench import Bench
from benchmarks.board import make_board
from benchmarks.bound import Video, Work, bound
from benchmarks.figures import Figure, lower_is_better
from config.stack import ROOT, Stack
from config.supervisor import StartError, Supervisor, free_port

if TYPE_CHECKING:
    from production.models import Task

# What a piece takes, at the provider or, where ffmpeg would work, of one core.
SECONDS = {"plan": 1.0, "image": 2.0, "clip": 12.0, "narration": 1.0, "sound": 1.5}
WORK_SECONDS = {"composite": 0.4, "split": 0.4, "film": 3.0}
CHANNELS = 3
LOOK = 0.01  # seconds between two looks at what is due
PATIENCE = 300.0
PEER = "the lower bound: critical path, providers' slots, cores"


def measure(bench: Bench) -> list[Figure]:
    with Supervisor(bench.folder / "logs") as supervisor:
        shorter = bench.amount(1.0, 0.2)
        seconds = {kind: length * shorter for kind, length in (SECONDS | WORK_SECONDS).items()}
        scripts = _write_scripts(bench.folder / "scripts", seconds)
        own = {"SCRIPTS_DIR": str(scripts), "ASK_SECONDS": "10", "KIE_WEBHOOK_KEY": ""}  # its jobs call back unsigned
        stack = Stack(bench.folder, free_port(), supervisor, settings=own)
        stack.start()
        run = _Run(stack, scripts, seconds, clips=bench.amount(6, 2))
        spent = run.play(videos=bench.amount(5, 1))
        least = bound([_video(task, seconds) for task in run.tasks()], _slots())
    return [
        lower_is_better(
            "makespan",
            f"s for {len(run.pages)} videos of {run.clips} clips",
            spent,
            max(least.values()),
            peer=PEER,
            aim="0.91: at most 1.1 times the bound",
            times_the_bound=round(spent / max(least.values()), 3),
            bounds={name: round(seconds, 2) for name, seconds in least.items()},
            stages=run.stages(),
        )
    ]


@dataclass
class _Run:
    """The videos on their way, the provider that calls back, and the one who says yes."""

    stack: Stack
    scripts: Path
    seconds: dict[str, float]
    clips: int
    pages: list[str] = field(default_factory=list)
    called: set[str] = field(default_factory=set)

    def play(self, *, videos: int) -> float:
        """Seconds from the first video queued to the last film approved."""
        from production import decisions
        from production.models import Provider

        self.stack.control.set_pace(text=self.seconds["plan"])
        Provider.objects.filter(pk="upload").update(paused=True, pause_reason="the bench makes films only")
        drafts = list(self._drafts(videos))
        began = time.monotonic()
        for task in drafts:
            decisions.submit(task, by="bench")
        while not self._is_over():
            if time.monotonic() - began > PATIENCE:
                raise StartError(f"no end within {PATIENCE:g} s: {[(task.pk, task.status) for task in self.tasks()]}")
            self.stack.supervisor.tick()
            self._call_back()
            time.sleep(LOOK)
        return time.monotonic() - began

    def tasks(self) -> "list[Task]":
        from production.models import Task

        return list(Task.objects.filter(page_id__in=self.pages).order_by("pk"))

    def stages(self) -> dict[str, dict[str, float]]:
        """For each video the second at which it reached each status."""
        tasks = self.tasks()
        began = min(task.created for task in tasks)
        return {
            task.title: {
                change.after: round((change.at - began).total_seconds(), 2)
                for change in task.changes.all()
                if change.before != change.after
            }
            for task in tasks
        }

    def _drafts(self, videos: int) -> "Iterator[Task]":
        from channels_app.models import Channel
        from production.models import Task
        from production.stages import Status

        limits = {"clips_per_video": self.clips, "assets_per_video": self.clips + 2, "gates": []}
        channels = [Channel.objects.create(slug=f"c{n}", name=f"Channel {n}", **limits) for n in range(CHANNELS)]
        board = make_board(self.stack, [channel.name for channel in channels])
        for number in range(videos):
            channel = channels[number % CHANNELS]
            row = {"Title": f"Video {number}", "Channel": channel.name, "Status": Status.DRAFT.label}
            self.pages.append(self.stack.control.create_page(board, row)["id"])
            yield Task.objects.create(channel=channel, page_id=self.pages[-1], title=row["Title"], topic="Lighthouses")

    def _is_over(self) -> bool:
        from production import decisions
        from production.stages import ERRORS, Status

        tasks = self.tasks()
        for task in tasks:
            if task.status in ERRORS:
                raise StartError(f"{task} stopped: {task.changes.last()}")
            if task.status == Status.FINAL_REVIEW:
                decisions.approve(task, by="bench", user=None)
        return all(task.status in (Status.APPROVED, Status.UPLOADING) for task in tasks)

    def _call_back(self) -> None:
        """Tell the product of each render that is done by now, once."""
        for job in (self.scripts / "jobs").iterdir():
            if job.name in self.called or job.name.startswith("."):
                continue
            said = json.loads(job.read_text())
            if said["due"] <= time.time():
                self.called.add(job.name)
                body = json.dumps({"data": {"taskId": job.name}}).encode()
                urllib.request.urlopen(said["callback"], body, timeout=5).close()  # noqa: S310 - our own address


def _video(task: "Task", seconds: dict[str, float]) -> Video:
    """What was made, as work in lanes; the last stage is not: the upload is paused."""
    from production.stages import PIECES, STAGES, STEPS

    video = [Work("planning", (seconds["plan"],) * len(STEPS), _depth_of_plan())]
    for stage in STAGES[:-1]:
        pieces = {piece.kind: piece for piece in PIECES if piece.stage == stage.name and piece.kind != "plan"}
        kinds = list(task.takes.filter(kind__in=pieces, selected=True).values_list("kind", flat=True))
        in_a_row = _in_a_row(task) if stage.name == "assets" else 1
        video.append(Work(pieces[kinds[0]].lane, tuple(seconds[kind] for kind in kinds), in_a_row))
    return video


def _depth_of_plan() -> int:
    """The longest chain of steps each of which is told the one before."""
    from production.stages import STEPS

    depth: dict[int, int] = {}
    for step in STEPS:
        depth[step.number] = 1 + max((depth[before] for before in step.after), default=0)
    return max(depth.values())


def _in_a_row(task: "Task") -> int:
    """The longest chain of images each of which refers to the one before."""
    depth: dict[int, int] = {}
    for asset in task.assets.order_by("number"):
        depth[asset.pk] = 1 + depth.get(asset.reference_id or 0, 0)
    return max(depth.values())


def _slots() -> dict[str, int]:
    from production.models import Provider
    from production.providers import slots_of

    return {lane.name: slots_of(lane) for lane in Provider.objects.all()}


def _write_scripts(folder: Path, seconds: dict[str, float]) -> Path:
    """The seven scripts, their times, and one canned file of each kind: nothing for which a person would be asked."""
    from production.stages import PIECES

    (folder / "jobs").mkdir(parents=True)
    made = [piece for piece in PIECES if piece.is_script]
    for piece in made:
        shutil.copy(ROOT / "benchmarks/script.py", folder / piece.does)
    how = {piece.kind: "works" if piece.kind in WORK_SECONDS else "waits" for piece in made}
    times = {piece.does: {"waits": 0.0, "works": 0.0, how[piece.kind]: seconds[piece.kind]} for piece in made}
    (folder / "times.json").write_text(json.dumps(times))
    picture, sound = ["-f", "lavfi", "-i", "testsrc2=s=1280x720:d=10"], ["-f", "lavfi", "-i", "sine=d=8"]
    for name, inputs in {"png": [*picture, "-frames:v", "1"], "mp3": sound, "mp4": [*picture, *sound]}.items():
        _ffmpeg(*inputs, str(folder / f"canned.{name}"))
    return folder


def _ffmpeg(*arguments: Any) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *arguments], check=True)
