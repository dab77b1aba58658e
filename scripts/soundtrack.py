"""The film's sound: each piece mixed to its exact length, all joined, brought to loudness, coded."""

from collections.abc import Callable

from contract import emit
from ffmpeg import Step, Work
from loudness import LAST_PASSES, MAX_PASSES, METER, Level, corrected, first_setting, read_meter
from timeline import SAMPLE_RATE, Span

TRACK = "sound.m4a"
LEVELLED = "levelled.f32"
PCM = ["-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", "2"]
# The fast search takes 2.5 s for 146 s of film, the default 4.1; at this rate it is also nearer to the original (the
# ratio of signal to difference is 38 dB, against 31).
CODED = ["-c:a", "aac", "-aac_coder", "fast", "-b:a", "192k", "-ar", str(SAMPLE_RATE), "-ac", "2", "-f", "mp4"]
DUCKING = "threshold=0.03:ratio=6:attack=20:release=350"
EDGE = 0.02  # seconds of fade at a cut, against clicks


def mix_and_master(spans: list[Span], *, loudness: float, fade: float, report: Callable[[], None]) -> Work:
    """Make TRACK in the working directory. report is called after each piece and at the end.

    Gain and limit are found on plain samples, where another try takes a third of what coding takes: most films are
    coded once. What the coder adds to the peaks is then measured in the track itself.
    """
    for number, span in enumerate(spans):
        yield Step(f"{span.piece.name}: sound", _mix(span, _mixed(number)))
        report()
    source = [*PCM, "-i", "concat:" + "|".join(_mixed(number) for number in range(len(spans)))]
    fades = _fades(spans, fade)
    level = read_meter((yield _metered(source, fades, "-f", "null", "-")))
    setting, better = first_setting(level, loudness), None
    for left in reversed(range(MAX_PASSES)):
        target = loudness if left >= LAST_PASSES else None
        level = read_meter((yield _metered(source, [*fades, setting.filters()], *PCM, LEVELLED)))
        better = corrected(setting, level, target)
        if better is None or not left:
            yield Step("sound", ["-v", "error", *PCM, "-i", LEVELLED, *CODED, TRACK])
            level = read_meter((yield _metered(["-i", TRACK], [], "-f", "null", "-")))
            better = corrected(setting, level, target)
        if better is None:
            break
        setting = better
    _say(level, loudness)
    report()


def _metered(source: list[str], filters: list[str], *target: str) -> Step:
    return Step("loudness", [*source, "-af", ",".join([*filters, METER]), *target])


def _mixed(number: int) -> str:
    return f"mix-{number:03}.f32"


def _mix(span: Span, target: str) -> list[str]:
    """Narration over ducked effects, or a video's own sound, or silence; raw samples of exactly the span's length."""
    piece = span.piece
    exact = f"apad=whole_len={span.samples},atrim=end_sample={span.samples}"
    inputs = [piece.narration, piece.sfx] if piece.narration else [piece.video.path if piece.video.sound else None]
    files = [argument for path in inputs if path for argument in ("-i", str(path))]
    if not files:
        return ["-v", "error", "-f", "lavfi", "-i", f"anullsrc=r={SAMPLE_RATE}:cl=stereo", "-af", exact, *PCM, target]
    graph = f"[0:a:0]{_stereo()},{exact}[out]"
    if len(files) > 2:
        ends = f"afade=t=in:d={EDGE},afade=t=out:st={max(0.0, span.seconds - EDGE):.4f}:d={EDGE}"
        graph = (
            f"[0:a:0]{_stereo()},{exact},asplit[voice][key];[1:a:0]{_stereo()},{exact},{ends}[sfx];"
            f"[sfx][key]sidechaincompress={DUCKING}[ducked];[voice][ducked]amix=inputs=2:normalize=0,{exact}[out]"
        )
    return ["-v", "error", *files, "-filter_complex", graph, "-map", "[out]", *PCM, target]


def _stereo() -> str:
    return f"aresample={SAMPLE_RATE},aformat=sample_fmts=fltp:channel_layouts=stereo"


def _fades(spans: list[Span], fade: float) -> list[str]:
    if not fade:
        return []
    end = spans[-1].start + spans[-1].seconds
    return [f"afade=t=in:d={fade}", f"afade=t=out:st={max(0.0, end - fade):.4f}:d={fade}"]


def _say(result: Level, target: float) -> None:
    """Report what was reached; more than half a LU away (only silence gets there) is worth a warning."""
    emit("loudness", lufs=result.integrated, true_peak=result.true_peak)
    if abs(result.integrated - target) > 0.5:
        emit("warning", message=f"loudness is {result.integrated} LUFS instead of {target:g}")
