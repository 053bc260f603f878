"""Take the pictures of docs/notebook.md, with simulated prices in a headless Chromium.

It needs ``pip install -e ".[browser]"`` and the system's chromium and chromedriver, and takes a
minute: ``python docs/draw_notebook.py``. Look at the pictures before you keep them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.notebook import browser

FOLDER = Path(__file__).with_name("notebook")
CONNECT = "from etoro_sync import WsClient\n\nclient = WsClient()\nclient.connect()"
LIVE = """client.live(
    [100000, 1001, 18, 1],
    names={100000: "Bitcoin", 1001: "Apple", 18: "Gold", 1: "EUR/USD"},
)"""
# Further down, out of the picture.
SIMULATE = """import os
from etoro_sync.demo import DEMO_PRICES
from etoro_sync.simulator import EToroSimulator

simulator = EToroSimulator(DEMO_PRICES, rate=20).start()
os.environ.update(ETORO_API_KEY="demo", ETORO_USER_KEY="demo", ETORO_WS_URL=simulator.url)"""
#: Seconds of prices that the lines show.
HISTORY = 45


def draw(name: str, front_end: str, theme: str, outage: bool = False) -> None:
    """Take one picture.

    :param name: of the file.
    :param front_end: ``"lab"`` or ``"notebook"``.
    :param theme: of JupyterLab.
    :param outage: whether the connection is lost in it.
    """
    browser.SETTINGS["apputils-extension/themes"] = {"theme": theme}
    folder = Path(tempfile.mkdtemp())
    with browser.jupyter(folder) as server, browser.open_browser(folder) as driver:
        driver.set_window_size(860, 640)
        server.write("prices.ipynb", CONNECT, LIVE, SIMULATE, "simulator.stop()", "")
        page = browser.Page(driver, server, front_end, "prices.ipynb")
        for cell in (2, 0, 1):
            page.run(cell)
            browser.wait_until(lambda cell=cell: page.prompts()[cell].strip("[]: *"))
        time.sleep(HISTORY)
        if outage:
            page.run(3)
            time.sleep(3)
        if front_end == "lab":
            page.command("application:toggle-left-area")
        script = "document.querySelector('.jp-CodeCell').scrollIntoView({block: 'start'})"
        driver.execute_script(f"document.activeElement.blur(); {script}")
        time.sleep(0.5)
        driver.save_screenshot(str(FOLDER / name))


if __name__ == "__main__":
    draw("lab.png", "lab", "JupyterLab Light")
    draw("notebook.png", "notebook", "JupyterLab Light")
    draw("dark.png", "notebook", "JupyterLab Dark", outage=True)
