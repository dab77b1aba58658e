"""Real media by ffmpeg: clips that move from a still, MP3 from samples, sounds from words; all of it marked."""

import functools
import hashlib
import os
import subprocess
from pathlib import Path

import imageio_ffmpeg

MARK = "SIMULATED by the sandbox"
CLIP_FPS = 24
STILL = (2400, 1350)  # the still is scaled to this once; a 1920x1080 window then glides over it
PAN_SPEED = 2  # pixels a frame: even, so that the chroma planes move by whole pixels and x264 finds nothing to code
# Measured on two cores: 1.1 s of CPU for ten seconds of 1080p; plain `ultrafast` at CRF 23 takes 1.9 s.
X264 = "scenecut=0:keyint=120:me=dia:merange=4:subme=0"


class MediaError(Exception):
    """ffmpeg could not make it; the message is its last line."""


def ffmpeg(*arguments: str, feed: bytes = b"") -> bytes:
    """Runs ffmpeg, one thread each (several run at once); returns its standard output."""
    command = [_ffmpeg_path(), "-v", "error", "-nostdin" if not feed else "-hide_banner", "-y", *arguments]
    done = subprocess.run(command, input=feed or None, capture_output=True, check=False)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise MediaError(lines[-1] if lines else f"ffmpeg ended with {done.returncode}")
    return done.stdout


@functools.cache
def _ffmpeg_path() -> str:
    return os.environ.get("FFMPEG") or str(imageio_ffmpeg.get_ffmpeg_exe())


def fingerprint(text: str) -> int:
    """A number that depends on every character: what is made from the same words is the same."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def make_clip(seed: Path, output: Path, *, prompt: str, seconds: int) -> None:
    """A silent-to-the-story 1920x1080 clip gliding over the seed image, with the audio track such models add."""
    width, height = STILL
    frames = seconds * CLIP_FPS
    # One colour space and square pixels whatever the seed: every clip has the same parameter sets and can be joined.
    colours = "out_range=tv:out_color_matrix=bt709"
    still = f"scale={width}:{height}:force_original_aspect_ratio=increase:{colours},crop={width}:{height}"
    still += ",format=yuv420p,setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709,setsar=1"
    glide = f"loop=loop=-1:size=1:start=0,setpts=N/{CLIP_FPS}/TB,crop=1920:1080:{_window(prompt, frames)}"
    part = output.with_suffix(f".{os.urandom(4).hex()}.part.mp4")  # its own: a killed sandbox's ffmpeg may still write
    ffmpeg(
        *("-i", str(seed), "-i", str(_hum(output.parent, seconds))),
        *("-filter_complex", f"[0:v]{still},{glide}[v]", "-map", "[v]", "-map", "1:a", "-c:a", "copy"),
        *("-frames:v", str(frames), "-r", str(CLIP_FPS), "-c:v", "libx264", "-preset", "ultrafast"),
        *("-tune", "zerolatency", "-threads", "1", "-qp", "26", "-x264-params", X264),
        *("-t", str(seconds), "-movflags", "+faststart", "-metadata", f"comment={MARK}", str(part)),
    )
    part.replace(output)


def _window(prompt: str, frames: int) -> str:
    """One of four glides, chosen by the prompt; x and y of ffmpeg's crop filter, always even."""
    span_x, span_y = min(PAN_SPEED * frames, STILL[0] - 1920), STILL[1] - 1080
    right, left = f"min({PAN_SPEED}*n,{span_x})", f"max({span_x}-{PAN_SPEED}*n,0)"
    down, up = f"2*floor(n*{span_y}/{2 * frames})", f"{span_y}-2*floor(n*{span_y}/{2 * frames})"
    x, y = [(right, str(span_y // 2)), (left, str(span_y // 2)), (right, up), (left, down)][fingerprint(prompt) % 4]
    return f"x='{x}':y='{y}'"


def _hum(folder: Path, seconds: int) -> Path:
    """The audio track of every clip of this length, encoded once."""
    path = folder / f"hum-{seconds}.m4a"
    if not path.exists():
        part = folder / f"hum-{seconds}-{os.urandom(4).hex()}.m4a"
        source = f"sine=frequency=110:duration={seconds}:sample_rate=44100,volume=0.1"
        ffmpeg("-f", "lavfi", "-i", source, "-c:a", "aac", "-b:a", "96k", str(part))
        part.replace(path)
    return path


# output_format of ElevenLabs: family -> (container, codec)
AUDIO_FAMILIES = {
    "mp3": ("mp3", "libmp3lame"),
    "pcm": ("s16le", "pcm_s16le"),
    "wav": ("wav", "pcm_s16le"),
    "opus": ("ogg", "libopus"),
    "ulaw": ("mulaw", "pcm_mulaw"),
    "alaw": ("alaw", "pcm_alaw"),
}


def encode_audio(output_format: str, *source: str, feed: bytes = b"") -> bytes:
    """What the ffmpeg input arguments give, e.g. as `mp3_44100_128` or `pcm_24000` (headerless S16LE)."""
    family, rate, *bitrate = output_format.split("_")
    container, codec = AUDIO_FAMILIES[family]
    quality = ["-b:a", f"{bitrate[0]}k"] if bitrate else []
    mark = ["-metadata", f"comment={MARK}"]
    shape = ["-ac", "1", "-ar", rate, "-c:a", codec, *quality]
    return ffmpeg(*source, *shape, *mark, "-threads", "1", "-f", container, "pipe:1", feed=feed)


def speech_audio(output_format: str, pcm: bytes, rate: int) -> bytes:
    return encode_audio(output_format, "-f", "s16le", "-ar", str(rate), "-ac", "1", "-i", "pipe:0", feed=pcm)


# What a word in the text sounds like: (words, ffmpeg source). The first that fits is taken, else a pad of tones.
SOUNDS = (
    (("rain", "storm", "drizzle"), "anoisesrc=color=pink:seed={seed}:amplitude=0.5,highpass=f=700,tremolo=f=0.4:d=0.3"),
    (("wave", "sea", "ocean", "surf", "water", "river"), "anoisesrc=color=brown:seed={seed},tremolo=f=0.14:d=0.85"),
    (("wind", "breeze", "air", "desert"), "anoisesrc=color=pink:seed={seed},bandpass=f=420:w=300,tremolo=f=0.2:d=0.6"),
    (("fire", "crackl", "flame"), "anoisesrc=color=white:seed={seed}:amplitude=0.3,tremolo=f=11:d=0.9,lowpass=f=2400"),
    (("engine", "machine", "motor", "train", "gear"), "anoisesrc=color=brown:seed={seed},tremolo=f=9:d=0.7"),
    (("crowd", "city", "street", "market"), "anoisesrc=color=brown:seed={seed}:amplitude=0.8,bandpass=f=600:w=500"),
    (
        ("bird", "forest", "garden", "morning"),
        "sine=f=2300:beep_factor=2,tremolo=f=6:d=0.9,volume=0.35,vibrato=f=5:d=0.6",
    ),
)
PAD = "aevalsrc='0.18*sin(2*PI*{low}*t)*(0.6+0.4*sin(2*PI*0.2*t))+0.1*sin(2*PI*{high}*t)'"


def sound_audio(output_format: str, text: str, seconds: float) -> bytes:
    """A sound for the words, `seconds` long, with soft edges; different words sound different."""
    mark = fingerprint(text)
    words = text.lower()
    source = next((each for keys, each in SOUNDS if any(key in words for key in keys)), PAD)
    low = 90 + mark % 110
    graph = source.format(seed=mark % 100_000, low=low, high=low * 3 // 2)
    fade = f"volume=0.5,afade=t=in:d=0.3,afade=t=out:st={max(0.0, seconds - 0.4):.2f}:d=0.4"
    return encode_audio(output_format, "-f", "lavfi", "-t", f"{seconds:.3f}", "-i", f"{graph},{fade}")
