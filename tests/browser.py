"""A headless Chromium for the tests of pages, driven through its DevTools websocket."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from websocket import create_connection

START = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
]


class Browser:
    """One page. `errors` collects what the console calls errors, `requests` what the network was asked."""

    def __init__(self, program: str, folder: Path, width: int = 1200, height: int = 900) -> None:
        arguments = [
            program,
            *START,
            f"--user-data-dir={folder}",
            f"--window-size={width},{height}",
            "about:blank",
        ]
        self.process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.loaded = False
        self.number = 0
        port = self._port(folder / "DevToolsActivePort")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=20) as answer:
            pages = [page for page in json.load(answer) if page["type"] == "page"]
        self.socket = create_connection(pages[0]["webSocketDebuggerUrl"], timeout=60)
        for domain in ("Runtime", "Log", "Network", "Page"):
            self.call(f"{domain}.enable")

    def _port(self, path: Path) -> int:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if path.exists() and (lines := path.read_text().split()):
                return int(lines[0])
            time.sleep(0.05)
        raise TimeoutError("Chromium did not start")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()
        self.process.terminate()
        self.process.wait(timeout=30)

    def _take(self, message: dict[str, Any]) -> None:
        kind, values = message.get("method"), message.get("params", {})
        if kind == "Runtime.exceptionThrown":
            self.errors.append(str(values["exceptionDetails"]))
        elif kind == "Runtime.consoleAPICalled" and values["type"] in ("error", "assert", "warning"):
            self.errors.append(str(values["args"]))
        elif kind == "Log.entryAdded" and values["entry"]["level"] in ("error", "warning"):
            self.errors.append(values["entry"]["text"])
        elif kind == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])
        elif kind == "Page.loadEventFired":
            self.loaded = True

    def call(self, method: str, **values: Any) -> dict[str, Any]:
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": values}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.number:
                assert "error" not in message, message
                found: dict[str, Any] = message["result"]
                return found
            self._take(message)

    def open(self, path: Path) -> float:
        """Load a file; the seconds until its load event."""
        self.loaded = False
        start = time.perf_counter()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self.loaded:
            self._take(json.loads(self.socket.recv()))
        return time.perf_counter() - start

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = 20) -> None:
        """Until the expression is true."""
        deadline = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < deadline, script
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        """A real click in the middle of an element."""
        script = f"""(() => {{ const e = document.querySelector({json.dumps(selector)});
            e.scrollIntoView({{block: 'center', behavior: 'instant'}});
            const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"""
        x, y = self.run(script)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str, code: int) -> None:
        """A key, sent to what has the focus."""
        values: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **values, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **values)

    def resize(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=True
        )
