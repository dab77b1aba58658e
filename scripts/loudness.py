"""Loudness by EBU R 128: what a sound has, and the gain and limit that bring it to where it shall be."""

import re
from dataclasses import dataclass

from contract import Failure

TRUE_PEAK = -1.6  # dBTP, at most, in the finished film; -1.5 is promised and the meter rounds to tenths
MARGIN = 0.5  # dB the limiter starts below it: AAC overshoots by a few tenths
TOLERANCE = 0.2  # LU; half a LU is promised
FLOOR = -70.0  # LUFS, the meter's; of peaks, too, so that there is always a number
SILENCE = -69.0  # LUFS
MAX_GAIN = 40.0  # dB
MAX_PASSES = 10
LAST_PASSES = 4  # of them: a sound that can't be brought to its loudness still keeps to its peak

METER = "ebur128=peak=true:framelog=quiet"
_INTEGRATED = re.compile(r"I:\s+(-?[\d.]+|-inf) LUFS")
_PEAK = re.compile(r"Peak:\s+(-?[\d.]+|-inf) dBFS")


@dataclass(frozen=True)
class Level:
    """What the meter read. integrated in LUFS, true_peak in dBTP."""

    integrated: float
    true_peak: float


@dataclass(frozen=True)
class Setting:
    """How to treat a sound. gain in dB, ceiling of the limiter in dBTP."""

    gain: float
    ceiling: float

    def filters(self) -> str:
        """Gain, then a limiter at four times the sample rate, where the peaks between samples can be seen."""
        limit = 10 ** (self.ceiling / 20)
        return (
            f"volume={self.gain:.3f}dB,aresample=192000,"
            f"alimiter=limit={limit:.5f}:attack=5:release=60:level=false:latency=true,aresample=48000"
        )


def read_meter(log: str) -> Level:
    """The summary that ebur128 prints at the end of its log."""
    integrated, peak = _INTEGRATED.findall(log), _PEAK.findall(log)
    if not integrated or not peak:
        raise Failure("permanent", "loudness: the meter printed no summary")
    return Level(max(FLOOR, float(integrated[-1])), max(FLOOR, float(peak[-1])))


def first_setting(measured: Level, target: float) -> Setting:
    """The second pass of the two: the gain that the first one's measurement asks for. Silence is left alone."""
    gain = 0.0 if measured.integrated <= SILENCE else min(MAX_GAIN, target - measured.integrated)
    return Setting(gain, TRUE_PEAK - MARGIN)


def corrected(setting: Setting, result: Level, target: float | None) -> Setting | None:
    """A better setting where limiting took loudness away or coding raised a peak; None when the result is good.

    Without a target only the peak counts.
    """
    short = 0.0 if target is None else target - result.integrated
    over = result.true_peak - TRUE_PEAK
    if result.integrated <= SILENCE or (abs(short) <= TOLERANCE and over <= 0):
        return None
    return Setting(min(MAX_GAIN, setting.gain + short), setting.ceiling - (over + 0.1 if over > 0 else 0.0))
