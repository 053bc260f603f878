"""A service that examines its way to the first price before it starts.

Where the keys, the network or the service are at fault, it ends with one line that names the step,
what was found and what to do, instead of an error in the middle of its work.
"""

import sys

from etoro_sync import WsClient
from etoro_sync.demo import run
from etoro_sync.doctor import examine


def main() -> None:
    report = examine(instrument_ids=[100000], private=False, seconds=0.2)
    if report.failure is not None:
        sys.exit(str(report.failure))
    for step in report.steps:
        print(f"{step.name}: {step.found}")
    for deviation in report.deviations:
        print(f"worth a report: {deviation.kind}: {deviation.what}")
    with WsClient() as client:
        for _, rate in client.stream([100000]):
            print(rate)


if __name__ == "__main__":
    run(main)
