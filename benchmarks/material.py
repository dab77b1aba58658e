"""What a film is made of, as the vendors would send it: clips with grain and B-frames, speech, effects, a watermark."""

import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio_ffmpeg
from PIL import Image, ImageDraw

from sandbox.media import sound_audio, speech_audio
from sandbox.paint import paint
from sandbox.speech import Speaker

RATE = 24
WORDS_A_MINUTE = 115  # a narrator's: eight to nine seconds of a clip's ten
SPOKEN = 0.9  # of a clip, at most
BYTES = 2  # a sample, mono
SCENES = (
    "a lighthouse on a rocky coast at night",
    "a market street of an old town in the morning",
    "a forest with a river under tall mountains",
    "a keeper on the stairs of a tower, warm light",
    "a harbour with ships in the rain",
    "a workshop full of gears and lamps",
)
TEXT = (
    "After dark the keeper climbs two hundred steps, trims the wick, and waits until the last boat is home.",
    "Nobody in the harbour slept that night, because the light that had burned for ninety years went out.",
    "What they found under the stairs was older than the tower itself, and it was still warm to the touch.",
)
# Grain that changes with every frame is what a codec has to work for; a camera that glides shows what a preset can do.
GRAIN = "noise=c0s=5:c0f=t"
GLIDE = "crop=1920:1080:x='24*t':y='10*t'"


@dataclass(frozen=True)
class Clip:
    """A ten-second clip, its narration, and an effect to lie under it."""

    video: Path
    audio: Path
    sfx: Path


def make(folder: Path, clips: int, seconds: float) -> tuple[list[Clip], Path]:
    """So many clips of so many seconds (six scenes, again and again), each spoken over but for its end; a watermark."""
    folder.mkdir(parents=True)
    videos = [_video(folder, number, seconds) for number in range(min(clips, len(SCENES)))]
    with closing(Speaker()) as speaker:
        audios = [_narration(folder, number, seconds, speaker) for number in range(min(clips, len(TEXT)))]
    sounds = [_sound(folder, number, seconds) for number in range(min(clips, len(SCENES)))]
    made = [Clip(videos[n % len(videos)], audios[n % len(audios)], sounds[n % len(sounds)]) for n in range(clips)]
    return made, _mark(folder)


def ffmpeg(*arguments: Any) -> str:
    """Run ffmpeg, which must succeed; its log."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostats", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


def _video(folder: Path, number: int, seconds: float) -> Path:
    """As a vendor's encoder makes it: B-frames, about 17 Mbit/s, an audio track that nobody asked for."""
    still, video = folder / f"still-{number}", folder / f"clip-{number}.mp4"
    still.write_bytes(paint(SCENES[number], size="2K").data)
    picture = ("-loop", 1, "-framerate", RATE, "-i", still, "-f", "lavfi", "-i", "sine=f=110:r=44100")
    graph = f"scale=2400:1350:out_range=tv:out_color_matrix=bt709,format=yuv420p,{GLIDE},{GRAIN},setsar=1"
    coded = ("-c:v", "libx264", "-preset", "veryfast", "-bf", 3, "-crf", 20, "-c:a", "aac")
    ffmpeg(*picture, "-vf", graph, "-t", seconds, *coded, "-movflags", "+faststart", video)
    return video


def _narration(folder: Path, number: int, seconds: float, speaker: Speaker) -> Path:
    spoken = speaker.say(TEXT[number], rate=WORDS_A_MINUTE)
    path = folder / f"narration-{number}.mp3"
    most = int(seconds * SPOKEN * spoken.rate)
    path.write_bytes(speech_audio("mp3_44100_128", spoken.pcm[: most * BYTES], spoken.rate))
    return path


def _sound(folder: Path, number: int, seconds: float) -> Path:
    path = folder / f"sound-{number}.mp3"
    path.write_bytes(sound_audio("mp3_44100_128", SCENES[number], seconds))
    return path


def _mark(folder: Path) -> Path:
    image = Image.new("RGBA", (240, 96), (0, 0, 0, 0))
    ImageDraw.Draw(image).rounded_rectangle((0, 0, 239, 95), 20, fill=(255, 255, 255, 150))
    image.save(folder / "mark.png")
    return folder / "mark.png"
