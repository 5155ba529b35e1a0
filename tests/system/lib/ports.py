# SPDX-License-Identifier: Apache-2.0
"""Free TCP ports outside the range that outgoing connections take theirs from."""

import fcntl
import os
import random
import socket
from pathlib import Path

_WANTED = 12000
_random = random.Random(os.getpid() ^ int.from_bytes(os.urandom(4), "big"))
_given: set[int] = set()


def _range(lowest_outgoing: int, highest_outgoing: int) -> range:
    """Below the outgoing ones; above them where too few are left there; among them where there is no other place."""
    for first, last in ((max(10000, lowest_outgoing - _WANTED), lowest_outgoing), (highest_outgoing + 1, 65536)):
        if last - first >= 2000:
            return range(first, last)
    return range(20000, 20000 + _WANTED)


_ports = _range(*(int(word) for word in Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()))
# A byte of it is locked for each port that was given out, until the process ends: a port is often free for seconds
# before it is listened on, and its server may be killed and started again.
_locks = os.open(f"/tmp/carillon-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def free_port() -> int:
    """A port that nobody listens on, given out once by all processes of this user together."""
    while True:
        port = _random.choice(_ports)
        if port in _given:
            continue
        try:
            fcntl.lockf(_locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                fcntl.lockf(_locks, fcntl.LOCK_UN, 1, port)
                continue
        _given.add(port)
        return port


if __name__ == "__main__":
    print(free_port())
