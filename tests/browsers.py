"""A headless Chromium, driven over its DevTools protocol.

``with Browser() as browser`` starts it on loopback with a profile of its own, and
``browser.open(page)`` shows a file or URL in a tab that is as wide and as dark as it is told. A
`Tab` keeps what its page has asked the network for and what went wrong in it, evaluates
JavaScript, and is given keys, clicks and text. Every wait ends at a deadline, and closing the
browser ends all that it has started.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

# A busy machine may take many times as long as usual.
START_SECONDS, CALL_SECONDS, END_SECONDS = 120, 120, 20
MAX_MESSAGE_BYTES = 256 * 2**20
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_ARGUMENTS = (
    "--headless=new --no-sandbox --disable-gpu --remote-debugging-port=0 --no-first-run "
    "--remote-debugging-address=127.0.0.1 --disable-background-networking --disable-sync "
    "--disable-component-update --disable-dev-shm-usage --disable-extensions --mute-audio "
    "--hide-scrollbars --force-color-profile=srgb --no-default-browser-check"
).split()
# Keys that are not the character they type: their name, and their code of Windows.
_KEYS = {
    "Backspace": 8,
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
    " ": 32,
    "PageUp": 33,
    "PageDown": 34,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Delete": 46,
}
_TYPED = {"Enter": "\r", " ": " "}
_MODIFIERS = {"alt": 1, "control": 2, "meta": 4, "shift": 8}
_LOCAL = ("data:", "blob:", "about:")


def find_chromium() -> str | None:
    """The program, or None where no Chromium is on PATH."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class BrowserError(Exception):
    """The browser refuses a command, or a script in a page has raised an exception."""


class Browser:
    """A Chromium and its tabs; closed, nothing of it is left."""

    def __init__(self) -> None:
        self.tabs: dict[str, Tab] = {}
        self._last = 0

    def __enter__(self) -> Browser:
        program = find_chromium()
        assert program is not None, "no Chromium is on PATH"
        self._folder = tempfile.TemporaryDirectory(prefix="browser", ignore_cleanup_errors=True)
        profile = Path(self._folder.name)
        self._loop = asyncio.new_event_loop()
        self._process = subprocess.Popen(
            [program, *_ARGUMENTS, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(profile), "TMPDIR": str(profile)},
            start_new_session=True,
        )
        try:
            url = self._endpoint(profile / "DevToolsActivePort")
            self._socket = self._run(_connect(url), START_SECONDS)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(TimeoutError):  # it is ended then, answer or not
            self._run(self._closed(), END_SECONDS)
        self._end()

    def _endpoint(self, file: Path) -> str:
        """The address that the browser writes into its profile."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            lines = file.read_text().split() if file.exists() else []
            if len(lines) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            assert self._process.poll() is None, f"Chromium ended: {self._process.returncode}"
            time.sleep(0.02)
        raise TimeoutError("Chromium does not say where it listens")

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(END_SECONDS)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
        self._folder.cleanup()

    def _run(self, work: Any, seconds: float) -> Any:
        return self._loop.run_until_complete(asyncio.wait_for(work, seconds))

    async def _closed(self) -> None:
        self._socket.close()
        while await self._socket.read_message() is not None:
            pass

    async def _next(self) -> str | bytes | None:
        message: str | bytes | None = await self._socket.read_message()
        return message

    async def _send(self, text: str) -> None:
        await self._socket.write_message(text)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Return what a command of the protocol answers; what happens meanwhile goes to tabs."""
        self._last += 1
        number = self._last
        message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        self._run(self._send(json.dumps(message)), CALL_SECONDS)
        deadline = time.monotonic() + CALL_SECONDS
        while (got := self._receive(deadline - time.monotonic())).get("id") != number:
            pass
        if "error" in got:
            raise BrowserError(f"{method}: {got['error']}")
        result: dict[str, Any] = got["result"]
        return result

    def _receive(self, seconds: float) -> dict[str, Any]:
        text = self._run(self._next(), max(seconds, 0.001))
        assert text is not None, "Chromium has closed the connection"
        message: dict[str, Any] = json.loads(text)
        tab = self.tabs.get(message.get("sessionId", ""))
        if "method" in message and tab is not None:
            tab.notice(message["method"], message["params"])
        return message

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """Take in events until something is so."""
        deadline = time.monotonic() + CALL_SECONDS
        while not until():
            self._receive(deadline - time.monotonic())
            assert time.monotonic() < deadline, f"timeout: {what}"

    def open(
        self,
        page: Path | str,
        *,
        width: int = 1440,
        height: int = 900,
        dark: bool = False,
        media: str = "",
    ) -> Tab:
        """Show a file or URL in a new tab, and return it when the page has loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = self.tabs[session] = Tab(self, target, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.call(f"{domain}.enable")
        tab.show_as(width=width, height=height, dark=dark, media=media)
        tab.load(page.resolve().as_uri() if isinstance(page, Path) else page)
        return tab


class Tab:
    """A page. ``problems`` are errors of its console, exceptions and what it may not do;
    ``requests`` the URLs that it has asked the network for, besides its own.
    """

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._browser = browser
        self._target = target
        self._session = session
        self._loaded = False

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return what a command of the protocol answers for this page."""
        return self._browser.call(method, self._session, **parameters)

    def notice(self, method: str, event: dict[str, Any]) -> None:
        """Keep what an event says."""
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            url = event["request"]["url"]
            is_page = event.get("type") == "Document" and event["requestId"] == event["loaderId"]
            if not is_page and not url.startswith(_LOCAL):
                self.requests.append(url)
        elif method == "Runtime.exceptionThrown":
            details = event["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "assert"):
            said = (str(one.get("value", one.get("description"))) for one in event["args"])
            self.problems.append(" ".join(said))
        elif method == "Log.entryAdded" and event["entry"]["level"] == "error":
            self.problems.append(event["entry"]["text"])

    def load(self, url: str) -> None:
        """Go to a URL and wait until it has loaded."""
        self._loaded = False
        answer = self.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise BrowserError(f"{url}: {answer['errorText']}")
        self._browser.wait(lambda: self._loaded, f"{url} loads")

    def show_as(
        self, *, width: int = 1440, height: int = 900, dark: bool = False, media: str = ""
    ) -> None:
        """Set the size of the window, the colour scheme, and ``media="print"``."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}  # clicks meet what is there
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme, still])

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression, awaited; `BrowserError` with what it raises."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + CALL_SECONDS
        while not self.evaluate(script):
            assert time.monotonic() < deadline, f"timeout: {script}"
            time.sleep(0.02)

    def settle(self) -> None:
        """Wait until what has happened so far is on the screen."""
        frames = "requestAnimationFrame(() => requestAnimationFrame(() => done(true)))"
        self.evaluate(f"new Promise(done => {frames})")

    def press(self, *keys: str) -> None:
        """Press keys one after the other: ``"a"``, ``"ArrowDown"``, ``"shift+Tab"``."""
        for key in keys:
            *held, name = key.split("+") if len(key) > 1 else [key]
            mask = sum(_MODIFIERS[one] for one in held)
            text = _TYPED.get(name, name if name not in _KEYS else "")
            code = _KEYS.get(name) or ord(name.upper())
            event = {"key": name, "code": name, "windowsVirtualKeyCode": code, "modifiers": mask}
            typed = {"text": text} if text and not mask & ~_MODIFIERS["shift"] else {}
            down = "keyDown" if typed else "rawKeyDown"
            self.call("Input.dispatchKeyEvent", type=down, **event, **typed)
            self.call("Input.dispatchKeyEvent", type="keyUp", **event)
        self.settle()

    def type(self, text: str) -> None:
        """Insert text where the focus is."""
        self.call("Input.insertText", text=text)
        self.settle()

    def click(self, selector: str) -> None:
        """Click on the middle of the first element of a selector of CSS, scrolled into view."""
        place = self.evaluate(
            f"(() => {{ const it = document.querySelector({json.dumps(selector)});"
            " if (!it) return null; it.scrollIntoView({block: 'center', behavior: 'instant'});"
            " const box = it.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        assert place is not None, f"nothing is {selector}"
        self.click_at(*place)

    def click_at(self, x: float, y: float) -> None:
        """Click on a place of the window."""
        event = {"x": x, "y": y, "button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.call("Input.dispatchMouseEvent", type="mousePressed", **event)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", **event)
        self.settle()

    def screenshot(self, file: Path, *, whole: bool = False) -> Path:
        """Write what is seen as PNG, or with ``whole`` all of the page."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(answer["data"]))
        return file

    def pdf(self) -> bytes:
        """The page as it is printed."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=False)["data"])

    def close(self) -> None:
        """Close the tab; what it has kept stays."""
        self._browser.call("Target.closeTarget", targetId=self._target)
        del self._browser.tabs[self._session]


async def _connect(url: str) -> WebSocketClientConnection:
    return await websocket_connect(url, max_message_size=MAX_MESSAGE_BYTES)
