"""Captions as SRT, from the time of every word; where times are missing the text is spread over its narration."""

from timeline import Span

LINE = 42  # characters, as broadcasters set it
CUE = 2 * LINE
LONGEST = 6.0  # seconds a cue stays
PAUSE = 0.7  # seconds of silence that end a cue

Word = tuple[str, float, float]


def as_srt(spans: list[Span]) -> str:
    """The whole film's captions."""
    cues = [cue for span in spans for cue in _cues(_timed(span))]
    return "\n".join(
        f"{number}\n{_clock(cue[0][1])} --> {_clock(cue[-1][2])}\n{_lines(cue)}\n" for number, cue in enumerate(cues, 1)
    )


def _timed(span: Span) -> list[Word]:
    """The span's words in film time, none outside the span or ending before it starts."""
    timed = []
    for text, *seconds in span.piece.words or _spread(span.piece.text, span.piece.seconds):
        start, stop = (span.start + min(max(0.0, second), span.seconds) for second in seconds)
        timed.append((text, start, max(start, stop)))
    return timed


def _spread(text: str, seconds: float) -> list[Word]:
    """Each word gets time by its length."""
    words = text.split()
    share = seconds / max(1, sum(len(word) + 1 for word in words))
    timed, start = [], 0.0
    for word in words:
        stop = start + (len(word) + 1) * share
        timed.append((word, start, stop))
        start = stop
    return timed


def _cues(words: list[Word]) -> list[list[Word]]:
    """Group words to cues: a sentence's end, a pause, two full lines or six seconds end one."""
    cues: list[list[Word]] = []
    for word in words:
        if not cues or _is_full(cues[-1], word):
            cues.append([])
        cues[-1].append(word)
    return cues


def _is_full(cue: list[Word], word: Word) -> bool:
    text = " ".join(part for part, _, _ in cue)
    ended = text.endswith((".", "!", "?", "…")) and len(text) > LINE // 2
    return ended or len(text) + 1 + len(word[0]) > CUE or word[2] - cue[0][1] > LONGEST or word[1] - cue[-1][2] > PAUSE


def _lines(cue: list[Word]) -> str:
    """One line, or two of about the same length."""
    words = [word for word, _, _ in cue]
    text = " ".join(words)
    if len(text) <= LINE:
        return text
    cut = min(range(1, len(words) + 1), key=lambda at: max(len(" ".join(words[:at])), len(" ".join(words[at:]))))
    return "\n".join(filter(None, (" ".join(words[:cut]), " ".join(words[cut:]))))


def _clock(seconds: float) -> str:
    millis = round(seconds * 1000)
    return f"{millis // 3_600_000:02}:{millis // 60_000 % 60:02}:{millis // 1000 % 60:02},{millis % 1000:03}"
