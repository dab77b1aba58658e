"""What scripts of before the JSON lines have in common: flags, files, an exit code, words for people on stderr.

They know nothing of PHASE, events or addresses, take no flag that is not in the classic contract, and work in place of
the vendors, so that no word about this product is in them.
"""

import argparse
import os
import subprocess
import sys

import imageio_ffmpeg


def secret(name):
    """A vendor's key, as such scripts find it; without one they can't work."""
    if not os.environ.get(name):
        sys.exit(f"{name} is not set")


def flags(*required, **optional):
    """argparse ends with 2 for a flag that it doesn't know."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in required:
        parser.add_argument(f"--{name}", required=True)
    for name, default in optional.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    return parser


def ffmpeg(*arguments):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *map(str, arguments)]
    sys.exit(1 if subprocess.run(command, check=False).returncode else 0)
