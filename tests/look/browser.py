"""Headless Chromium, spoken to by pipes in its own protocol (Chrome DevTools): no driver, no port, no package."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

#: Where to look for one, after the environment's CHROMIUM.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
HOW = "no Chromium: apt-get install chromium-headless-shell (Debian), or name a browser with CHROMIUM=/path/to/chromium"

#: Seconds until a browser that says nothing is given up.
PATIENCE = 120

#: What lies outside the page's width, or is cut off by what it stands in and cannot be scrolled to.
_OUTSIDE = """(() => {
  const found = [], wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide) found.push(`the page is ${document.documentElement.scrollWidth} px wide`);
  const say = (one, what) => found.push(`${one.tagName.toLowerCase()} "${one.textContent.trim().slice(0, 60)}" ${what}`);
  for (const one of document.body.querySelectorAll("*")) {
    const box = one.getBoundingClientRect(), style = getComputedStyle(one);
    if (!box.width || one.closest(".scroll") || one.closest("script, style")) continue;
    if (box.right > wide + 1 || box.left < -1) say(one, `reaches from ${box.left} to ${box.right} px`);
    if (one.scrollWidth > one.clientWidth + 1 && one.clientWidth && style.display !== "inline") say(one, "is wider than its place");
  }
  for (const svg of document.querySelectorAll("svg")) {
    const around = svg.getBoundingClientRect(), texts = [...svg.querySelectorAll("text")].map((one) => [one, one.getBoundingClientRect()]);
    const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    const holds = (a, b) => b.left > a.left - 1 && b.right < a.right + 1 && b.top > a.top - 1 && b.bottom < a.bottom + 1;
    for (const [one, box] of texts) {
      if (!holds(around, box)) say(one, "is cut off");
      for (const [other, its] of texts) if (one !== other && meet(box, its)) say(one, "lies upon another");
    }
  }
  return found;
})()"""


@dataclass(frozen=True)
class Look:
    """How a page is looked at: width in CSS pixels, colours, on a screen or on paper."""

    width: int = 1280
    dark: bool = False
    media: str = "screen"

    def __str__(self) -> str:
        return f"{self.width}-{'dark' if self.dark else 'light'}{'' if self.media == 'screen' else '-' + self.media}"


#: As on a sheet of A4 within the margins that browsers leave.
PRINTED = Look(718, media="print")


@dataclass
class Seen:
    """What was seen of a page."""

    outside: list[str] = field(default_factory=list)  #: What does not fit.
    errors: list[str] = field(default_factory=list)  #: What the browser complains of.
    requests: list[str] = field(default_factory=list)  #: What was asked of anybody but the page's own file.

    @property
    def wrong(self) -> list[str]:
        """All of it in words; empty if the page is as it should be."""
        return [*self.outside, *self.errors, *(f"asked for {one}" for one in self.requests)]


def find_chromium() -> str | None:
    """Return the browser to use, None if there is none."""
    named = os.environ.get("CHROMIUM")
    return next((found for name in ([named] if named else NAMES) if (found := shutil.which(name))), None)


class Browser:
    """A browser with one page, see ``browser``."""

    def __init__(self, asks: IO[bytes], answers: IO[bytes]) -> None:
        self._asks, self._answers, self._number = asks, answers, 0
        self._events: list[dict[str, Any]] = []
        self._session: str | None = None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask for something and return the answer.

        Raises:
            RuntimeError: The browser refuses, or has ended.
        """
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | ({"sessionId": self._session} if self._session else {})
        self._asks.write(json.dumps(message).encode() + b"\0")
        self._asks.flush()
        while (told := self._next()).get("id") != self._number:
            self._events.append(told)
        if "error" in told:
            raise RuntimeError(f"{method}: {told['error']}")
        found: dict[str, Any] = told["result"]
        return found

    def open(self, page: Path, look: Look) -> Seen:
        """Open a file and say what is wrong with how it looks."""
        self.ask("Emulation.setDeviceMetricsOverride", width=look.width, height=900, deviceScaleFactor=1, mobile=look.width < 600)
        colours = [{"name": "prefers-color-scheme", "value": "dark" if look.dark else "light"}]
        self.ask("Emulation.setEmulatedMedia", media=look.media, features=colours)
        self._events.clear()
        self.ask("Page.navigate", url=page.as_uri())
        while not any(told.get("method") == "Page.loadEventFired" for told in self._events):
            self._events.append(self._next())
        outside: list[str] = self.run(_OUTSIDE)
        return Seen(outside, *self._noticed(page.as_uri()))

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def photograph(self, file: Path, *, most: int = 4000) -> None:
        """Save the page from its top as a PNG, up to so many pixels high."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        part = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], most), "scale": 1}
        taken = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=part)
        file.write_bytes(base64.b64decode(taken["data"]))

    def print(self, file: Path) -> None:
        """Save the page as a PDF, as it would be printed on A4."""
        self.ask("Emulation.setEmulatedMedia", media="")
        made = self.ask("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, printBackground=False)
        file.write_bytes(base64.b64decode(made["data"]))

    def _noticed(self, own: str) -> tuple[list[str], list[str]]:
        errors, requests = [], []
        for told in self._events:
            method, what = told.get("method"), told.get("params", {})
            if method == "Runtime.exceptionThrown" or (method == "Runtime.consoleAPICalled" and what["type"] in ("error", "warning")):
                errors.append(f"{method}: {json.dumps(what)[:300]}")
            elif method == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning"):
                errors.append(f"{what['entry']['source']}: {what['entry']['text']}")
            elif method == "Network.requestWillBeSent" and what["request"]["url"] != own:
                requests.append(what["request"]["url"])
        return errors, requests

    def _next(self) -> dict[str, Any]:
        read = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("the browser has ended")
            read += byte
        found: dict[str, Any] = json.loads(read)
        return found


@contextmanager
def browser(binary: str) -> Iterator[Browser]:
    """Start a browser with a profile of its own, which is gone afterwards."""
    # It reads what it is asked from 3 and answers on 4; pipes get higher numbers, so that none is in the way of these two.
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for pair in (os.pipe(), os.pipe()) for end in pair]
    heard, asks, answers, told = ends
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
        ]
        shell = ["bash", "-c", f'exec "$0" "$@" 3<&{heard} 4>&{told}', binary, *flags]
        process = subprocess.Popen(shell, pass_fds=(heard, told), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(heard)
        os.close(told)
        try:
            with os.fdopen(asks, "wb") as to, os.fdopen(answers, "rb") as back:
                yield Browser(to, back)
        finally:
            process.terminate()
            process.wait(PATIENCE)
