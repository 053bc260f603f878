"""Draw docs/demo.svg, the picture of the README: ``python docs/draw_demo.py docs/demo.svg``.

It is what ``etoro-sync demo`` shows after five seconds.
"""

import io
import re
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from etoro_sync import WsClient, WsClientOptions
from etoro_sync.cli.simulating import make_simulator
from etoro_sync.cli.streaming import StreamSettings, stream
from etoro_sync.cli.table import dashboard
from etoro_sync.cli.table_contents import TableContents
from etoro_sync.clocks import uptime
from etoro_sync.demo import DEMO_PRICES
from etoro_sync.simulator.catalogue import Catalogue

__all__ = ["draw", "main"]

_COLUMNS = 80


class _Still:
    """A screen that stores what it is to show."""

    def __init__(self, contents: TableContents) -> None:
        self.contents = contents

    def start(self) -> None:
        """Nothing to do."""

    def show(self, event: str, item: Any) -> None:
        """Add an event to the table's contents."""
        self.contents.add(event, item, uptime())

    def note(self, line: str) -> None:
        """The log is not in the picture."""

    def refresh(self, client: WsClient) -> None:
        """Note where the client stands."""
        state, messages = client.state.value, client.stats().messages
        self.contents.measure(state, client.generation, messages, uptime())

    def stop(self) -> None:
        """Nothing to do."""


def draw(seconds: float) -> str:
    """Run a demonstration and return its last table as SVG.

    :param seconds: how long to run it.
    """
    settings = StreamSettings((*DEMO_PRICES, "private"), seconds=seconds)
    names = {each.id: each.name for each in Catalogue().listings}
    contents = TableContents(
        settings.instrument_ids, "simulated data", True, uptime(), lambda id: names.get(id or 0, "")
    )
    still = _Still(contents)
    with make_simulator(settings.instrument_ids, order_interval=1.0) as simulator:
        stream(WsClientOptions("demo", "demo", simulator.url, proxy=""), settings, still)
    console = Console(
        record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True, color_system="256"
    )
    console.print(dashboard(still.contents, uptime(), 10**6, width=_COLUMNS))
    svg = console.export_svg(title="etoro-sync demo")
    # Pages that show a picture do not load the fonts that it names.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL) + "\n"


def main() -> None:
    """Write the picture to the file that the command line names."""
    if len(sys.argv) != 2:
        sys.exit("Usage: python docs/draw_demo.py FILE.svg")
    Path(sys.argv[1]).write_text(draw(5.2), encoding="utf-8")


if __name__ == "__main__":
    main()
