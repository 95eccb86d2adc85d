"""Records per second in NumPy batches, read in place; tickrelay bench ring runs it
beside bench/bench.c, which fills the ring "bench" in a directory.

    bench.py DIR        prints "rate" and "batch", the mean batch
"""
import os
import sys
import time

import numpy
import tickrelay

STOP = 255


def main(directory):
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {0})
    records = batches = 0
    total = numpy.uint64(0)
    with tickrelay.open(directory, "bench") as md:
        md.wait(10)
        start = time.perf_counter()
        while True:
            batch = md.lend(16384)
            n = len(batch)
            if n == 0:
                md.wait(1, tickrelay.SPIN)
                continue
            records += n
            batches += 1
            total += batch["seq"].sum()  # every record is touched
            if batch["kind"][-1] == STOP:
                break
        took = time.perf_counter() - start
    print(f"rate {records / took:.0f}\nbatch {records / batches:.0f}")


if __name__ == "__main__":
    main(sys.argv[1])
