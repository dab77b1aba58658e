"""What is wrong with a finished file, as far as it can be measured: at these pieces a person looks first. Pure.

`scripts/measure_media.py` says what there is; here stands what is wanted. An "error" makes a piece useless as far as a
machine can tell, and a person is asked even where the channel has no gate; a "warning" only draws the eye.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from production.lint import CLIP_SECONDS, spoken_seconds

ERROR, WARNING = "error", "warning"
MOST = 8  # findings of one file: who has more is looked at anyway
MOST_WORDS = 200  # characters of one

SHAPE, SHAPE_OFF = 16 / 9, 0.03  # of it; image models round to their blocks and are 1 % off
SMALLEST = {"clip": 1280, "film": 1920}  # pixels of width; enlarged by half is the most that goes unnoticed
SMALL = 1024  # of a still: models draw at 1376
BLANK = 6  # of 255, between the darkest and the brightest place: paper white and coder's noise
RATES = (20, 61)  # frames a second; below it stutters, above nobody has asked for it
LENGTH_OFF = 0.15  # of a clip's ten seconds: a five-second render is half a film
USELESS = 0.5  # of a picture's length black or frozen, or ...
MUTE = 0.9  # ... of a sound's length silent
FROZEN = 2.0  # seconds; models hold a pose for one, an encoder's still scene is rarely frozen for two
BLACK = {"clip": 0.5, "film": 1.5}  # seconds; a film's fades have half a second of it at each end
LEAD, TAIL, PAUSE = 1.5, 2.0, 2.0  # seconds of silence before, behind and inside a narration; a full stop has 0.8
FILM_PAUSE = 3.0  # seconds of silence in a film; under every clip lies a sound
HOT = 0.005  # of all samples within a decibel of full scale: loud speech has a tenth of it, a clipped one ten times
FAST, SLOW = 0.45, 2.5  # times what a calm voice needs; 5.5 words a second are cut off, one a second is something else
FEW_SECONDS = 3.0  # of speech, below which pace says nothing: one word may be drawn out
UNTIMED = 0.8  # of the text's characters that the voice says it has spoken
BEHIND = 2.5  # seconds of sound after the last word: nobody has asked for more words
LOUDNESS, LOUDNESS_OFF = -14.0, 1.0  # LUFS; assembly promises half a LU
PEAK = -1.0  # dBTP; above it players' resampling may clip
APART = 0.15  # seconds between picture's and sound's end; a viewer sees lips off from there

Measured = dict[str, Any]


@dataclass(frozen=True)
class Finding:
    """`code` names the sort, `words` go on after the piece's name, `at` is the second of the file that it is about."""

    code: str
    words: str
    severity: str = WARNING
    at: float | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"words": self.words[:MOST_WORDS]}


def unseen(why: str) -> Finding:
    """The look itself has failed; what it was about is shown to people as ever."""
    return Finding("unseen", f"could not be looked over: {why}")


def find(kind: str, said: Measured, *, text: str = "", words: Iterable[Any] = ()) -> list[Finding]:
    """Everything about a file of this kind, the worst first; `text` and `words` (timed) are a narration's."""
    found = {"clip": _clip, "film": _film, "narration": _narration, "sound": _sound}.get(kind, _still)
    flaws = list(found(kind, said)) if kind != "narration" else [*_narration(kind, said), *_spoken(said, text, words)]
    return sorted(flaws, key=lambda flaw: flaw.severity != ERROR)[:MOST]


# ---------------------------------------------------------------- pictures


def _still(kind: str, said: Measured) -> Iterator[Finding]:
    if number(said, "spread") <= BLANK:
        yield Finding("blank", "is one colour", ERROR)
    yield from _size(said, SMALL, WARNING if kind == "image" else ERROR)


def _clip(kind: str, said: Measured) -> Iterator[Finding]:
    yield from _picture(kind, said)
    seconds = number(said, "seconds")
    if abs(seconds - CLIP_SECONDS) > LENGTH_OFF * CLIP_SECONDS:
        yield Finding("length", f"lasts {seconds:.1f} s instead of {CLIP_SECONDS:.0f}")


def _film(kind: str, said: Measured) -> Iterator[Finding]:
    yield from _picture(kind, said)
    if "lufs" not in said:
        yield Finding("silent", "has no sound", ERROR)
        return
    yield from _mute(said, number(said, "sound_seconds"))
    yield from _pauses(said, number(said, "sound_seconds"), lead=FILM_PAUSE, tail=FILM_PAUSE, inside=FILM_PAUSE)
    if (errors := number(said, "sound_errors")) > 0:
        yield Finding("corrupt", f"has a sound track with {errors:.0f} errors", ERROR)
    if abs(number(said, "lufs") - LOUDNESS) > LOUDNESS_OFF:
        yield Finding("loudness", f"has {number(said, 'lufs'):.1f} LUFS instead of {LOUDNESS:.0f}")
    if number(said, "true_peak") > PEAK:
        yield Finding("peak", f"has a true peak of {number(said, 'true_peak'):.1f} dBTP, {PEAK:.0f} at most is wanted")
    apart = number(said, "sound_seconds") - number(said, "seconds")
    if abs(apart) > APART:
        longer, shorter = ("sound", "picture") if apart > 0 else ("picture", "sound")
        yield Finding("apart", f"has {abs(apart):.1f} s more {longer} than {shorter}")


def _picture(kind: str, said: Measured) -> Iterator[Finding]:
    """Of anything that moves. What is black is frozen too: it is said once."""
    if (errors := number(said, "errors")) > 0:
        yield Finding("corrupt", f"can't be decoded cleanly: {errors:.0f} errors", ERROR)
    yield from _size(said, SMALLEST[kind], ERROR)
    rate = number(said, "rate")
    if not RATES[0] <= rate <= RATES[1]:
        yield Finding("rate", f"has {rate:g} frames a second")
    black = stretches(said, "black")
    yield from _long("black", "is black", black, BLACK[kind], said)
    frozen = [stretch for stretch in stretches(said, "frozen") if not _covered(stretch, black)]
    yield from _long("frozen", "stands still", frozen, FROZEN, said)


def _size(said: Measured, smallest: int, severity: str) -> Iterator[Finding]:
    width, height = number(said, "width"), number(said, "height")
    if not height or abs(width / height / SHAPE - 1) > SHAPE_OFF:
        yield Finding("size", f"is {width:.0f} x {height:.0f}, not 16:9", severity)
    elif width < smallest:
        yield Finding("size", f"is {width:.0f} pixels wide, {smallest} at least are wanted")


def _long(code: str, is_what: str, found: list[tuple[float, float]], least: float, said: Measured) -> Iterator[Finding]:
    """One finding for all stretches that are long enough, at the first of them."""
    long = [(start, end) for start, end in found if end - start >= least]
    if long:
        total = sum(end - start for start, end in long)
        severity = ERROR if total >= USELESS * number(said, "seconds") else WARNING
        yield Finding(code, f"{is_what} for {total:.1f} s", severity, long[0][0])


def _covered(stretch: tuple[float, float], by: list[tuple[float, float]]) -> bool:
    shared = sum(max(0.0, min(stretch[1], end) - max(stretch[0], start)) for start, end in by)
    return shared >= USELESS * (stretch[1] - stretch[0])


# ---------------------------------------------------------------- sounds


def _sound(kind: str, said: Measured) -> Iterator[Finding]:
    yield from _mute(said, number(said, "seconds"))
    yield from _hot(said)


def _narration(kind: str, said: Measured) -> Iterator[Finding]:
    seconds = number(said, "seconds")
    yield from _mute(said, seconds)
    yield from _pauses(said, seconds, lead=LEAD, tail=TAIL, inside=PAUSE)
    yield from _hot(said)
    if seconds > CLIP_SECONDS:
        told = f"lasts {seconds:.1f} s, longer than its clip of {CLIP_SECONDS:.0f}: the last frame is held"
        yield Finding("overrun", told, at=CLIP_SECONDS)


def _mute(said: Measured, seconds: float) -> Iterator[Finding]:
    if _is_mute(said, seconds):
        yield Finding("silent", "is silent", ERROR, 0.0)


def _is_mute(said: Measured, seconds: float) -> bool:
    return sum(end - start for start, end in stretches(said, "silent")) >= MUTE * seconds


def _pauses(said: Measured, seconds: float, *, lead: float, tail: float, inside: float) -> Iterator[Finding]:
    if _is_mute(said, seconds):
        return
    for start, end in stretches(said, "silent"):
        place, most = ("begins", lead) if start < 0.1 else ("ends", tail) if end > seconds - 0.1 else ("pauses", inside)
        if end - start > most:
            yield Finding("silent", f"{place} with {end - start:.1f} s of silence", at=start)


def _hot(said: Measured) -> Iterator[Finding]:
    share = number(said, "hot")
    if share > HOT:
        yield Finding("clipped", f"is distorted: {share:.1%} of it is at full scale")


def _spoken(said: Measured, text: str, words: Iterable[Any]) -> Iterator[Finding]:
    """Whether as much is said as the text has. Silence around it is another finding."""
    seconds = number(said, "seconds")
    if _is_mute(said, seconds) or not text.strip():
        return
    speech = seconds - sum(end - start for start, end in stretches(said, "silent"))
    needs = spoken_seconds(text)
    if needs > FEW_SECONDS and speech < FAST * needs:
        yield Finding("speech", f"has {speech:.1f} s of speech for a text of about {needs:.0f} s: it may be cut off")
    elif speech > max(FEW_SECONDS, SLOW * needs):
        yield Finding("speech", f"has {speech:.1f} s of speech for a text of about {needs:.0f} s: other words?")
    yield from _timed(text, [word for word in words if _is_timed(word)], seconds, speech)


def _timed(text: str, words: list[Any], seconds: float, speech: float) -> Iterator[Finding]:
    """The voice's own times; a script that gives none says nothing."""
    if not words:
        return
    spoken, wanted = sum(len(word[0]) for word in words), len("".join(text.split()))
    last = max(float(word[2]) for word in words)
    if spoken < UNTIMED * wanted:
        yield Finding("words", f"has {spoken / wanted:.0%} of the text, says the voice")
    if last > seconds + 0.5:
        yield Finding("cut", f"ends at {seconds:.1f} s, its last word at {last:.1f}", ERROR, seconds)
    elif min(speech, seconds - last) > BEHIND and speech > last:
        yield Finding("babble", f"goes on for {seconds - last:.1f} s after its last word", at=last)


def _is_timed(word: Any) -> bool:
    return isinstance(word, list) and len(word) == 3 and isinstance(word[0], str) and isinstance(word[2], int | float)


# ---------------------------------------------------------------- what was said, made fit


def number(said: Measured, name: str) -> float:
    value = said.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def stretches(said: Measured, name: str) -> list[tuple[float, float]]:
    """Pairs of seconds; what is none is left out."""
    pairs = said.get(name)
    return [
        (float(pair[0]), float(pair[1]))
        for pair in (pairs if isinstance(pairs, list) else [])
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, int | float) for part in pair)
    ]
