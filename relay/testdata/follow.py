"""Follows two topics with the package websockets, goes away, comes back, and prints what
it saw as JSON. Arguments: URL, book topic, trades topic, trades to see in all."""

import asyncio
import json
import sys

import websockets

URL, BOOK, TRADES, WANT = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
last, epoch, seen, book = {}, {}, [], {"bids": {}, "asks": {}}


def take(m):
    if m.get("op") == "subscribed":
        for topic, at in m["topics"].items():
            last[topic], epoch[topic] = at["seq"], at["epoch"]
        return
    if "type" not in m:
        return
    topic = m["topic"]
    assert m["prev"] <= last[topic], f"missed before {m}"
    last[topic] = m["seq"]
    if m["type"] == "trade":
        seen.append(m["seq"])
    elif m["type"] == "book":
        if m["action"] == "snapshot":
            book["bids"], book["asks"] = {}, {}
        for side in ("bids", "asks"):
            for price, size in m[side]:
                if size == "0":
                    book[side].pop(price, None)
                else:
                    book[side][price] = size


async def session(request, until):
    async with websockets.connect(URL, subprotocols=["tickrelay.v1.json"], max_size=2**26) as ws:
        assert ws.subprotocol == "tickrelay.v1.json", ws.subprotocol
        await ws.send(json.dumps(request))
        while len(seen) < until:
            take(json.loads(await asyncio.wait_for(ws.recv(), 30)))


async def main():
    await session({"op": "subscribe", "topics": [BOOK, TRADES], "depth": 10}, WANT // 2)
    topics = {topic: {"epoch": epoch[topic], "seq": last[topic]} for topic in last}
    await session({"op": "resume", "topics": topics, "depth": 10}, WANT)
    print(json.dumps({"trades": seen, "book": book}))


asyncio.run(main())
