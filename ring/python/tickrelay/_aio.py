"""async for over a client."""
import asyncio


class AsyncBatches:
    """Lends batch after batch; the loop sleeps on the client's descriptor in between."""

    def __init__(self, client, max=4096):
        self._client = client
        self._max = max

    def __aiter__(self):
        return self

    async def __anext__(self):
        client = self._client
        while True:
            batch = client.lend(self._max)
            if len(batch):
                return batch
            if client.arm():
                continue
            await self._readable(client.fileno())

    async def _readable(self, fd):
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_reader(fd, lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_reader(fd)
            self._client.disarm()
