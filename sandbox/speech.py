"""Speech: espeak-ng (a GPL library) in a process of its own, asked over a pipe.

The child is `python -m sandbox.speech`: a JSON line `{"text", "voice", "rate"}` in; out a JSON line
`{"rate": Hz, "bytes": n, "words": [[character offset, milliseconds], ...]}`, then n bytes of S16LE mono.
"""

import ctypes
import json
import subprocess
import sys
import threading  # noqa: TID251 - the sandbox serves from threads
from dataclasses import dataclass
from typing import Any

AUDIO_OUTPUT_SYNCHRONOUS = 2
CHARS_UTF8 = 1
POS_CHARACTER = 1
PARAMETER_RATE = 1
EVENT_END_OF_LIST = 0
EVENT_WORD = 1
WORDS_A_MINUTE = 175


@dataclass(frozen=True)
class Spoken:
    """S16LE mono at `rate` Hz, and where each word starts: (character offset, seconds)."""

    pcm: bytes
    rate: int
    words: list[tuple[int, float]]

    @property
    def seconds(self) -> float:
        return len(self.pcm) / 2 / self.rate


class Speaker:
    """One speaking child, started at the first sentence and again if it dies; sentences take turns."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def say(self, text: str, voice: str = "en-us", rate: int = WORDS_A_MINUTE) -> Spoken:
        with self._lock:
            child = self._running()
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(json.dumps({"text": text, "voice": voice, "rate": rate}).encode() + b"\n")
            child.stdin.flush()
            head = json.loads(child.stdout.readline())
            pcm = child.stdout.read(head["bytes"])
        return Spoken(pcm, head["rate"], [(offset - 1, ms / 1000) for offset, ms in head["words"]])

    def close(self) -> None:
        if self._child:
            self._child.kill()
            self._child.wait()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._child is None or self._child.poll() is not None:
            command = [sys.executable, "-m", "sandbox.speech"]
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self._child


class _Event(ctypes.Structure):
    """espeak_EVENT of espeak-ng's speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_int64 * 1),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class _Engine:
    """espeak-ng through ctypes, collecting samples and word marks of one sentence at a time."""

    def __init__(self) -> None:
        import espeakng_loader  # only the child loads the GPL library

        self._lib = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self.rate = int(self._lib.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, data, 0))
        if self.rate <= 0:
            raise RuntimeError("espeak-ng did not start")
        self._collect = _Callback(self._on_samples)  # kept: the library holds only a pointer
        self._lib.espeak_SetSynthCallback(self._collect)
        self._pcm = bytearray()
        self._words: list[tuple[int, int]] = []

    def _on_samples(self, wave: Any, count: int, events: Any) -> int:
        if wave and count:
            self._pcm.extend(ctypes.string_at(wave, count * 2))
        index = 0
        while events[index].type != EVENT_END_OF_LIST:
            if events[index].type == EVENT_WORD:
                self._words.append((events[index].text_position, events[index].audio_position))
            index += 1
        return 0

    def speak(self, text: str, voice: str, rate: int) -> tuple[bytes, list[tuple[int, int]]]:
        self._pcm, self._words = bytearray(), []
        if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
            self._lib.espeak_SetVoiceByName(b"en-us")
        self._lib.espeak_SetParameter(PARAMETER_RATE, rate, 0)
        data = text.encode()
        self._lib.espeak_Synth(data, len(data) + 1, 0, POS_CHARACTER, 0, CHARS_UTF8, None, None)
        self._lib.espeak_Synchronize()
        return bytes(self._pcm), self._words


def main() -> None:
    """Speaks until its input ends, so it never outlives the sandbox."""
    engine = _Engine()
    for line in sys.stdin.buffer:
        wanted = json.loads(line)
        pcm, words = engine.speak(wanted["text"], wanted["voice"], wanted["rate"])
        head = {"rate": engine.rate, "bytes": len(pcm), "words": words}
        sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + pcm)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
