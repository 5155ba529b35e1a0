# SPDX-License-Identifier: Apache-2.0
"""Free TCP ports below the range that outgoing connections take theirs from."""

import os
import random
import socket

_FIRST, _LAST = 20000, 32000
_random = random.Random(os.getpid() ^ int.from_bytes(os.urandom(4), "big"))
_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on, given out once."""
    while True:
        port = _random.randrange(_FIRST, _LAST)
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


if __name__ == "__main__":
    print(free_port())
