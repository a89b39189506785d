"""A web page in headless Chromium, over a pipe: the DevTools protocol without a port and without a package.

Chromium reads commands from file descriptor 3 and writes answers and events to 4, JSON ended by a zero byte.
"""

import json
import os
import select
import shutil
import subprocess
import time

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --remote-debugging-pipe"
)
FLAGS += " --disable-background-networking --disable-component-update --disable-sync --window-size=1600,1000"


class Page:
    """One page. ``requests``: URLs asked for; ``errors``: exceptions and console errors, as text."""

    def __init__(self, url: str, profile):
        commands, ours = os.pipe()
        theirs, answers = os.pipe()
        self.write, self.read, self.buffer, self.number = ours, theirs, b"", 0
        self.requests, self.errors, self.results = [], [], {}
        # the child finds its ends as 3 and 4, whatever their numbers are here
        shell = f'exec "$0" "$@" 3<&{commands} 4>&{answers}'
        command = ["bash", "-c", shell, CHROMIUM, *FLAGS.split(), f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(
            command, pass_fds=(commands, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(commands)
        os.close(answers)
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Network", "Page"):
            self.ask(f"{domain}.enable")
        self.ask("Page.navigate", url=url)

    def ask(self, method: str, seconds: float = 60, **parameters):
        """The result of a command; what happens meanwhile is noted."""
        self.number += 1
        about = {"sessionId": self.session} if hasattr(self, "session") else {}
        message = {"id": self.number, "method": method, "params": parameters} | about
        os.write(self.write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + seconds
        while self.number not in self.results:
            self._take(end - time.monotonic())
        answer = self.results.pop(self.number)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def _take(self, seconds: float) -> None:
        if seconds <= 0 or not select.select([self.read], [], [], seconds)[0]:
            raise TimeoutError("Chromium does not answer")
        data = os.read(self.read, 1 << 20)
        if not data:
            raise ConnectionError("Chromium has ended")
        *messages, self.buffer = (self.buffer + data).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self.results[message["id"]] = message
            else:
                self._note(message.get("method"), message.get("params", {}))

    def _note(self, event, about) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            details = about["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif event == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.errors.append(about["entry"]["text"])
        elif event == "Runtime.consoleAPICalled" and about["type"] in ("error", "assert"):
            self.errors.append(str([value.get("value") for value in about["args"]]))

    def run(self, script: str):
        """The value of a JavaScript expression; a promise is awaited."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, (script, found)
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 20):
        """The value of an expression as soon as it is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {script}")
            time.sleep(0.05)
        return value

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.write)
        os.close(self.read)
