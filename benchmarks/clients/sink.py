"""Reads and looks at nothing: shows how fast the server can send."""

import json
import time

from benchmarks import wire
from benchmarks.feeds import MARKER_END
from benchmarks.meter import Meter, arguments, topics

_END = f"instrument:{MARKER_END}".encode()


def main() -> None:
    args = arguments(__doc__)
    sock = wire.connect(args.port)
    request = {"id": "1", "operation": "Subscribe", "data": {"topics": topics(args)}}
    sock.sendall(wire.masked_frame(json.dumps(request).encode()))
    meter = Meter("count", bool)
    buffer = bytearray(1 << 20)
    view = memoryview(buffer)
    meter.start()
    began = time.perf_counter()
    tail = b""
    while True:
        size = sock.recv_into(buffer)
        # The marker is the last frame, and shorter than this.
        tail = (tail + bytes(view[max(size - 1000, 0) : size]))[-1000:]
        if not size or _END in tail:
            break
    meter.stop(0)
    sock.close()
    meter.print(seconds=time.perf_counter() - began)


if __name__ == "__main__":
    main()
