"""A headless Firefox, driven by the protocol that it speaks itself (Marionette): Playwright drives only builds of its own."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support.whole_run import eventually

START_S = 60.0
ANSWER_S = 60.0
STOP_S = 30.0
# The port of its choice is written into its profile; nothing is asked for but what a test opens.
PREFERENCES = {
    "marionette.port": 0,
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage": "about:blank",
    "datareporting.policy.dataSubmissionEnabled": False,
    "media.autoplay.default": 0,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.enabled": False,
}
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element's id, by the WebDriver standard


class Firefox:
    """One session. Raises RuntimeError with the browser's own words where it cannot do what it is told."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._from = connection.makefile("rb")
        self._read()  # its greeting
        self._said = 0
        self.told("WebDriver:NewSession")

    def told(self, command: str, **parameters: Any) -> Any:
        self._said += 1
        message = json.dumps([0, self._said, command, parameters]).encode()
        self._connection.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self._read()
        if error:
            raise RuntimeError(f"{command}: {error['message']}")
        return result.get("value") if isinstance(result, dict) else result

    def open(self, url: str) -> None:
        self.told("WebDriver:Navigate", url=url)

    def value(self, expression: str) -> Any:
        return self.told("WebDriver:ExecuteScript", script=f"return {expression};", args=[])

    def element(self, selector: str) -> str:
        found: str = self.told("WebDriver:FindElement", using="css selector", value=selector)[ELEMENT]
        return found

    def click(self, selector: str) -> None:
        self.told("WebDriver:ElementClick", id=self.element(selector))

    def write(self, selector: str, text: str) -> None:
        self.told("WebDriver:ElementSendKeys", id=self.element(selector), text=text)

    def wait(self, expression: str, within_s: float = ANSWER_S) -> None:
        """Until the expression is true in the page."""
        assert eventually(lambda: bool(self.value(expression)), within_s), expression

    def _read(self) -> Any:
        length = b""
        while (one := self._from.read(1)) != b":":
            if not one:
                raise RuntimeError("Firefox has ended.")
            length += one
        return json.loads(self._from.read(int(length)))


@contextmanager
def firefox(profile: Path) -> Iterator[Firefox]:
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    assert program is not None, "Firefox is missing; run: apt-get install firefox-esr"
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))
    process = subprocess.Popen(
        [program, "--headless", "--no-remote", "--marionette", "--profile", str(profile)],
        env={"HOME": str(profile), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = profile / "MarionetteActivePort"
        assert eventually(lambda: port.is_file() and port.read_text().isdigit(), START_S)
        with socket.create_connection(("127.0.0.1", int(port.read_text())), timeout=ANSWER_S) as connection:
            session = Firefox(connection)
            yield session
            with suppress(RuntimeError, OSError):  # it may be gone before it has answered
                session.told("Marionette:Quit", flags=["eForceQuit"])
    finally:
        process.terminate()
        process.wait(STOP_S)
