"""`python -m sandbox --state DIR [--pace instant|fast|real]`: serves until SIGTERM or Ctrl-C."""

import argparse
import logging
import signal
import sys
import threading  # noqa: TID251 - the sandbox serves from threads
from pathlib import Path

from sandbox.pace import PACES
from sandbox.server import PortBusyError, Server


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="Local stand-ins of every vendor.")
    parser.add_argument("--state", type=Path, required=True, help="folder for books, media and addresses.json")
    parser.add_argument("--pace", choices=sorted(PACES), default="fast", help="how long the vendors take")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="sandbox: %(levelname)s %(name)s %(message)s")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server = Server(options.state, options.pace)
    try:
        addresses = server.start()
    except PortBusyError as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return 1
    sys.stdout.write("".join(f"{name}={address}\n" for name, address in addresses.items()))
    sys.stdout.flush()
    ended.wait()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
