"""The small picture that stands for a file on a page: a still made small, a film's first lit frame, a sound's wave."""

from pathlib import Path
from tempfile import TemporaryDirectory

import av
from contract import Failure
from ffmpeg import Step, run_step
from meter import Measured
from pictures import open_picture
from PIL import Image, ImageStat
from probe import as_shown, probe_video

WIDTH = 640  # pixels: a card is 320 wide, and some screens have two pixels for one
WAVE = (640, 96)
INK = "#6b7f9e"  # seen on light and dark pages alike
QUALITY = 80
LIT = 32  # mean brightness, of 255, below which a frame shows nobody anything
LOOK_SECONDS = 3.0  # of a film, in search of a lit frame; then the brightest of them
BLANK = (64, 36)  # at this size paper grain and coder's noise are gone


def of_still(path: Path, target: Path) -> Measured:
    """Write the poster; the picture's shape, and how far apart its darkest and brightest places are (0 to 255)."""
    picture = open_picture(path, "--input")
    low_and_high = picture.resize(BLANK, Image.Resampling.BOX).getextrema()
    spread = max(high - low for low, high in low_and_high)  # type: ignore[misc]
    width, height = picture.size
    _write(picture, target)
    return {"width": width, "height": height, "spread": spread}


def of_film(path: Path, target: Path) -> None:
    """Write the first frame on which something can be seen."""
    try:
        _write(_lit_frame(path), target)
    except av.FFmpegError as error:
        raise Failure("permanent", f"--input: poster: {error.strerror}") from None


def of_sound(path: Path, target: Path) -> None:
    """Write the wave form, on nothing."""
    wave = f"aformat=channel_layouts=mono,showwavespic=s={WAVE[0]}x{WAVE[1]}:colors={INK}:scale=sqrt"
    with TemporaryDirectory(dir=target.parent, prefix=".wave-") as folder:
        drawn = Path(folder) / "wave.png"
        arguments = ["-v", "error", "-i", str(path), "-filter_complex", wave, "-frames:v", "1", str(drawn)]
        run_step(Step("--input: wave form", arguments))
        with Image.open(drawn) as picture:
            _write(picture, target)


def _lit_frame(path: Path) -> Image.Image:
    best: Image.Image | None = None
    brightness = -1.0
    video = probe_video(path, "--input")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        for frame in container.decode(stream):
            small = as_shown(frame, video, WIDTH)
            mean = ImageStat.Stat(small.convert("L")).mean[0]
            if mean > brightness:
                best, brightness = small, mean
            if brightness >= LIT or (frame.time or 0.0) > LOOK_SECONDS:
                break
    if best is None:
        raise Failure("permanent", f"--input {path} has no picture")
    return best


def _write(picture: Image.Image, target: Path) -> None:
    if picture.width > WIDTH:
        picture.thumbnail((WIDTH, WIDTH * 4), Image.Resampling.LANCZOS, reducing_gap=2.0)
    picture.save(target, "WEBP", quality=QUALITY, method=2)
