#!/usr/bin/env python3
"""lossy_link.py - joins two network namespaces by a link with latency and loss, where the kernel has no netem.

lossy_link.py NAMESPACE NAMESPACE MILLISECONDS SHARE

Makes a device `lossy` in each namespace, prints "ready", and passes packets on until it is killed: each after so many milliseconds,
but for a share of them, which is lost.
"""
import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import sys
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 0x0002, 0x1000, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def device(namespace):
    with open(f"/var/run/netns/{namespace}") as handle:
        if libc.setns(handle.fileno(), CLONE_NEWNET):
            sys.exit(f"{namespace}: {os.strerror(ctypes.get_errno())}")
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH", b"lossy", IFF_TAP | IFF_NO_PI))
    return tap


def main():
    taps = [device(name) for name in sys.argv[1:3]]
    delay, loss = float(sys.argv[3]) / 1000, float(sys.argv[4])
    random.seed(1)
    waiting, number = [], 0
    print("ready", flush=True)
    while True:
        timeout = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        for tap in select.select(taps, [], [], timeout)[0]:
            packet = os.read(tap, 65536)
            if random.random() >= loss:
                heapq.heappush(waiting, (time.monotonic() + delay, number, taps[tap == taps[0]], packet))
                number += 1
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, to, packet = heapq.heappop(waiting)
            try:
                os.write(to, packet)
            except OSError:
                pass  # the device is not up yet


main()
