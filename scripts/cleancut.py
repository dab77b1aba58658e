"""Where a clip's stream can end without being encoded again, so that the film's picture is a bit-for-bit copy."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

import av
from manifest import Manifest
from probe import Video

FITTING = ("h264", "yuv420p", 1920, 1080, 1, 0, False)
LATEST = 12  # frames the clean cut may lie behind the wanted one


def clean_cuts(manifest: Manifest, lengths: Sequence[int]) -> list[int] | None:
    """The frames each piece gets if the whole picture can be copied, none fewer than asked for; None if it can't be.

    It can when nothing is drawn or faded, every stream is coded alike in the film's shape and rate, and each has a cut.
    """
    videos = [piece.video for piece in manifest.pieces]
    alike = len({(video.coding, video.rate) for video in videos}) == 1
    if manifest.watermark or manifest.fade or not alike:
        return None
    if videos[0].coding[: len(FITTING)] != FITTING or videos[0].rate != manifest.rate:
        return None
    cuts = [_clean_cut(video, length) for video, length in zip(videos, lengths, strict=True)]
    return [cut for cut in cuts if cut] if all(cuts) else None


def _clean_cut(video: Video, frames: int) -> int | None:
    """The shortest prefix of packets, in decode order, whose frames leave no hole in display order."""
    highest = -1
    for count, place in enumerate(_display_places(video), start=1):
        highest = max(highest, place)
        if count >= frames and highest == count - 1:
            return count
        if count > frames + LATEST:
            break
    return None


def _display_places(video: Video) -> Iterator[int]:
    """For each packet in decode order the number of the frame it shows, as long as the time stamps keep step."""
    with suppress(av.FFmpegError), av.open(str(video.path)) as container:  # decoding will say what is wrong
        for number, packet in enumerate(container.demux(container.streams.video[0])):
            if packet.pts is None or packet.is_discard:
                return
            place = packet.pts * packet.time_base * video.rate
            if place.denominator != 1 or (number == 0 and (place != 0 or not packet.is_keyframe)):
                return
            yield int(place)
