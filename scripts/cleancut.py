"""Where a clip's stream can end without being encoded again, so that the film's picture is a bit-for-bit copy."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

import av
from contract import Failure
from manifest import Manifest, Piece
from packets import is_damaged, length_size

FITTING = ("h264", "yuv420p", 1920, 1080, 1, 0, False)
LATEST = 12  # frames the clean cut may lie behind the wanted one


def clean_cuts(manifest: Manifest, lengths: Sequence[int]) -> list[int] | None:
    """The frames each piece gets if the whole picture can be copied, none fewer than asked for; None if it can't be.

    It can when nothing is drawn or faded, every stream is coded alike in the film's shape and rate, and each has a cut.
    What is copied is not decoded, so damage is looked for here; it fails with the piece and the file.
    """
    videos = [piece.video for piece in manifest.pieces]
    alike = len({(video.coding, video.rate) for video in videos}) == 1
    if manifest.watermark or manifest.fade or not alike:
        return None
    if videos[0].coding[: len(FITTING)] != FITTING or videos[0].rate != manifest.rate:
        return None
    cuts = [_clean_cut(piece, length) for piece, length in zip(manifest.pieces, lengths, strict=True)]
    return [cut for cut in cuts if cut] if all(cuts) else None


def _clean_cut(piece: Piece, frames: int) -> int | None:
    """The shortest prefix of packets, in decode order, whose frames leave no hole in display order."""
    highest = -1
    for count, place in enumerate(_display_places(piece), start=1):
        highest = max(highest, place)
        if count >= frames and highest == count - 1:
            return count
        if count > frames + LATEST:
            break
    return None


def _display_places(piece: Piece) -> Iterator[int]:
    """For each packet in decode order the number of the frame it shows, as long as the time stamps keep step."""
    video = piece.video
    with suppress(av.FFmpegError), av.open(str(video.path)) as container:  # decoding will say what is wrong
        stream = container.streams.video[0]
        size = length_size(stream.codec_context.extradata)
        for number, packet in enumerate(container.demux(stream)):
            if packet.pts is None or packet.is_discard:
                return
            if size and is_damaged(bytes(packet), size):
                raise Failure("permanent", f"{piece.name}: {video.path} is damaged inside, at packet {number}")
            place = packet.pts * packet.time_base * video.rate
            if place.denominator != 1 or (number == 0 and (place != 0 or not packet.is_keyframe)):
                return
            yield int(place)
