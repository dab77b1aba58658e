"""How much memory the product's own processes need: web server and both clusters, idle and with 30 images on their way.

PSS (each shared page counted once, by parts) from /proc/PID/smaps_rollup. PostgreSQL and the sandbox are left out; the
scripts, one process a call, stand apart in the details. The peer runs the same code with as many processes, the stock
way: `manage.py qcluster` for each cluster and a web server that loads the application in each of its processes.

Idle means: everything has been up for a while, each web process has answered. Thirty calls are in flight where three
workers have ten each (BATCH=10).
"""

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from benchmarks.bench import Bench
from benchmarks.figures import Figure, lower_is_better
from config.stack import ROOT, WEB, Stack, gunicorn
from config.supervisor import StartError, Supervisor, answers, free_port

WORKERS = 3  # of the cluster that calls vendors
PEER = "stock qcluster and gunicorn without preload, as many processes"
SETTLED = 5.0  # seconds after the start in which everybody has imported what it needs
MEGABYTE = 1_000_000
Memory = dict[str, float]


def measure(bench: Bench) -> list[Figure]:
    if not Path("/proc/self/smaps_rollup").exists():
        return []  # not Linux: nobody tells
    calls = bench.amount(30, 6)
    with Supervisor(bench.folder / "logs") as supervisor:
        own = {"WORKERS": str(WORKERS), "BATCH": str(calls // WORKERS)}
        stack = Stack(bench.folder, free_port(), supervisor, settings=own)
        stack.begin()
        stack.migrate()
        ours, peer = [_both(bench, stack, start, calls) for start in (_start_ours, _start_stock)]
    whens = (("memory_idle", "idle"), ("memory_busy", f"{calls} calls"))
    return [_figure(*when, *found) for when, *found in zip(whens, ours, peer, strict=True)]


def _figure(name: str, when: str, ours: Memory, peer: Memory) -> Figure:
    return lower_is_better(
        name,
        f"MB PSS, {when}, without scripts",
        ours["without_scripts"],
        peer["without_scripts"],
        peer=PEER,
        aim="600 MB busy",
        ours=ours,
        stock=peer,
    )


def _both(bench: Bench, stack: Stack, start: Callable[[Stack], None], calls: int) -> tuple[Memory, Memory]:
    """Idle and busy, of a stack of its own over the common database and vendors; its processes end with this."""
    from django.core.management import call_command

    vendors = stack.supervisor
    with Supervisor(bench.folder / "logs") as stack.supervisor:
        start(stack)
        stack.supervisor.wait_ready(WEB, f"{stack.url}/health", seconds=60)
        _let_run(stack, lambda: False, seconds=bench.amount(SETTLED, 2.0))
        for _ in range(50):
            assert answers(f"{stack.url}/health")
            assert answers(f"{stack.url}/admin/login/")
        idle = _memory(stack)
        _ask_for_images(stack, calls)
        _let_run(stack, lambda: _on_their_way() >= calls, seconds=60)
        if (there := _on_their_way()) < calls:
            raise StartError(f"only {there} of {calls} images are on their way after a minute")
        busy = _memory(stack)
    stack.supervisor = vendors
    call_command("flush", interactive=False, verbosity=0)
    return idle, busy


def _start_ours(stack: Stack) -> None:
    stack.start_web()
    stack.start_workers()


def _start_stock(stack: Stack) -> None:
    from django.conf import settings

    command = [part for part in gunicorn("config.wsgi", stack.port) if part != "--preload"]
    stack.supervisor.start(WEB, command, stack.environment, folder=ROOT)
    for name in settings.CLUSTERS:
        environment = stack.environment | {"Q_CLUSTER_NAME": name}
        stack.supervisor.start(name, [sys.executable, "manage.py", "qcluster"], environment, folder=ROOT)


def _ask_for_images(stack: Stack, calls: int) -> None:
    """Videos enough that so many images can be drawn at once, each of which takes the vendor minutes."""
    from channels_app.models import Channel
    from production import decisions
    from production.models import Provider, Task

    stack.control.set_pace(text=0, image=300)
    Provider.objects.filter(pk="images").update(concurrency=calls)
    limits = {"assets_per_video": 10, "clips_per_video": 4, "max_concurrent": calls // 3}
    channel = Channel.objects.create(slug="bench", name="Bench", **limits)
    for number in range(calls // 3):
        task = Task.objects.create(channel=channel, page_id=f"page-{number}", title=f"Video {number}", topic="Lakes")
        decisions.submit(task, by="bench")


def _on_their_way() -> int:
    from production.models import Take

    return Take.objects.in_flight().filter(kind="image").count()


def _let_run(stack: Stack, until: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    stack.supervisor.run(until=lambda: until() or time.monotonic() > deadline)


def _memory(stack: Stack) -> Memory:
    """MB by what the processes are."""
    found: dict[str, list[psutil.Process]] = {name: [] for name in [*stack.supervisor.children, "scripts"]}
    for name, child in stack.supervisor.children.items():
        root = psutil.Process(child.process.pid)
        for process in [root, *root.children(recursive=True)]:
            found["scripts" if _is_script(process) else name].append(process)
    sums = {name: _pss(processes) for name, processes in found.items()}
    counts = {f"{name}_processes": float(len(processes)) for name, processes in found.items()}
    return {"without_scripts": round(sum(sums.values()) - sums["scripts"], 1), **sums, **counts}


def _is_script(process: psutil.Process) -> bool:
    return any(part.startswith(str(ROOT / "scripts")) for part in process.cmdline())


def _pss(processes: Iterable[psutil.Process]) -> float:
    return round(sum(process.memory_full_info().pss for process in processes) / MEGABYTE, 1)
