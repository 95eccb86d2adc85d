"""Reads a ring's two files by the documented offsets alone, without the package,
and prints name, capacity, venue, epoch and every unread record.

    segment.py DIR NAME
"""
import struct
import sys

RECORD = struct.Struct("<BBHIQqqqqQBBbbI")

directory, name = sys.argv[1:]
data = open(f"{directory}/{name}.data", "rb").read()
ctl = open(f"{directory}/{name}.ctl", "rb").read()
magic, version, _, size, _, capacity, _, records = struct.unpack_from("<QIIIIQQQ", data)
assert magic.to_bytes(8, "little") == b"TICKRING" and version == 1 and size == RECORD.size == 64
assert ctl[:8] == (0x4C54434B43495420).to_bytes(8, "little")
_, venue, epoch = struct.unpack_from("<IIq", data, 384)
(head,) = struct.unpack_from("<Q", data, 640)
(tail,) = struct.unpack_from("<Q", ctl, 128)
print(name, capacity, venue, epoch)
for at in range(tail, head):
    print(*RECORD.unpack_from(data, records + at % capacity * 64))
