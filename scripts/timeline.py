"""Where each piece lies in the film, counted in frames and samples, so that nothing drifts."""

import math
from dataclasses import dataclass
from fractions import Fraction

from cleancut import clean_cuts
from manifest import Manifest, Piece

SAMPLE_RATE = 48_000


@dataclass(frozen=True)
class Span:
    """A piece in its place.

    first: number of its first frame in the film; frames: how many it has; copied: whether its picture is taken over
    bit for bit.
    """

    piece: Piece
    first: int
    frames: int
    rate: Fraction
    copied: bool

    @property
    def start(self) -> float:
        """Seconds from the film's start."""
        return float(self.first / self.rate)

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return float(self.frames / self.rate)

    @property
    def samples(self) -> int:
        """Samples from this piece's first frame to the next one's, both rounded from the film's start."""
        return _sample_at(self.first + self.frames, self.rate) - _sample_at(self.first, self.rate)

    @property
    def held_seconds(self) -> float:
        """How long the last frame is held because the narration outlasts the clip."""
        return max(0.0, self.seconds - self.piece.video.seconds)


def lay_out(manifest: Manifest) -> list[Span]:
    """Give each piece the frames that cover its sound: the cut is the first frame edge at or after its end.

    Where the picture can be copied, the cut is the first place from there on where the stream may end.
    """
    lengths = [max(1, math.ceil(round(piece.seconds * manifest.rate, 3))) for piece in manifest.pieces]
    cuts = clean_cuts(manifest, lengths)
    lengths = cuts or lengths
    return [
        Span(piece, sum(lengths[:number]), length, manifest.rate, copied=cuts is not None)
        for number, (piece, length) in enumerate(zip(manifest.pieces, lengths, strict=True))
    ]


def _sample_at(frame: int, rate: Fraction) -> int:
    return round(frame * SAMPLE_RATE / rate)
