"""What is known of a finished file, as the review page says it; and a film's captions for its player."""

import re
from dataclasses import dataclass

from production import flaws, workspace
from production.models import Take

STAMP = re.compile(r"^(\d\d:\d\d:\d\d),(\d{3}) --> (\d\d:\d\d:\d\d),(\d{3})$", re.MULTILINE)
MOST_CAPTIONS = 1_000_000  # bytes; an hour of speech has a tenth


@dataclass(frozen=True)
class Facts:
    """Figures of a take's file; 0 or None where it has no such thing, or was not looked over. `lufs` is its loudness,
    `true_peak` is in dBTP, `rate` in frames a second, `size` in bytes."""

    width: int
    height: int
    rate: float
    seconds: float | None
    size: int
    lufs: float | None
    true_peak: float | None
    has_captions: bool

    @property
    def frame(self) -> str:
        return f"{self.width} × {self.height}" if self.width else ""

    @property
    def is_loud_enough(self) -> bool:
        return self.lufs is not None and abs(self.lufs - flaws.LOUDNESS) <= flaws.LOUDNESS_OFF


def of(take: Take) -> Facts:
    said = take.measured
    level = {name: flaws.number(said, name) if name in said else None for name in ("lufs", "true_peak")}
    return Facts(
        width=int(flaws.number(said, "width")),
        height=int(flaws.number(said, "height")),
        rate=flaws.number(said, "rate"),
        seconds=take.seconds,
        size=take.size or 0,
        has_captions=take.kind == "film" and captions_of(take) is not None,
        **level,
    )


def captions_of(take: Take) -> str | None:
    """The SRT that assembly has laid beside the film, None where it made none."""
    path = workspace.file_of(take).with_suffix(".srt")
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(MOST_CAPTIONS)
    except OSError:
        return None


def as_vtt(srt: str) -> str:
    """SRT as WebVTT: points in its times, and no tags in its words, which may have any sign."""
    text = srt.removeprefix("\ufeff").replace("\r\n", "\n").replace("\0", "")
    cues = (_cue(cue) for cue in text.split("\n\n") if cue.strip())
    return "WEBVTT\n\n" + "".join(filter(None, cues))


def _cue(cue: str) -> str:
    """Empty where it has no time."""
    stamp = STAMP.search(cue)
    if stamp is None:
        return ""
    words = cue[stamp.end() :].strip().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"{stamp[1]}.{stamp[2]} --> {stamp[3]}.{stamp[4]}\n{words}\n\n"
