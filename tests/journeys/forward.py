"""`python -m tests.journeys.forward 10.9.0.1:5432=/tmp/.s.PGSQL.5432 127.0.0.1:80=10.9.0.1:80`: what comes in at the
left address goes out to the right one, until the process ends."""

import asyncio
import sys
from contextlib import suppress


async def main(routes: list[str]) -> None:
    for route in routes:
        address, _, target = route.partition("=")
        host, _, port = address.rpartition(":")
        await asyncio.start_server(_Way(target).take, host, int(port))
    await asyncio.Event().wait()


class _Way:
    def __init__(self, target: str) -> None:
        self.target = target

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.target.startswith("/"):
            far_reader, far_writer = await asyncio.open_unix_connection(self.target)
        else:
            host, _, port = self.target.rpartition(":")
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
