"""Starts the real `lla serve` for a test run and stops it again.

The binary and the folder of models come from the environment (`LLA_BIN`, `LLA_TEST_STORE`; see
scripts/test-sdk); everything else of the server lives in a temporary folder.
"""

import http.client
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import time

MODEL = "smollm2-135m-instruct"
# A slow machine may load the model late; nothing waits this long when all is well.
START_SECONDS = 180
STOP_SECONDS = 60

# A short keep-alive, so that comments come while a long prompt is read: clients must skip them.
CONFIG = """
[server]
keep_alive = "50ms"

[store]
path = {store}

# How many guesses are tried depends on the time that steps take, and the last bits of logits on how
# many tokens share a step: tests that compare texts do without them.
[models.smollm2-135m-instruct]
tier = "small"
drafts = false
"""


class Server:
    """A running gateway."""

    def __init__(self, folder: pathlib.Path):
        self.home = folder
        self.log = folder / "server.log"
        address_file = folder / "address"
        config = folder / "lla.toml"
        config.write_text(CONFIG.format(store=json.dumps(os.environ["LLA_TEST_STORE"])))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LLA_")}
        environment["LLA_HOME"] = str(folder)
        command = [os.environ["LLA_BIN"], "serve", "--listen", "127.0.0.1:0"]
        command += ["--address-file", str(address_file), "--config", str(config)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=log)
        try:
            self._wait("its address", lambda: address_file.exists() and address_file.read_text().strip())
            self.url = address_file.read_text().strip()
            self.host, port = self.url.removeprefix("http://").split(":")
            self.port = int(port)
            self._wait("/health/ready", lambda: self.get("/health/ready")[0] == 200)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def connect(self) -> http.client.HTTPConnection:
        """A plain connection, for what the SDK hides."""
        return http.client.HTTPConnection(self.host, self.port, timeout=120)

    def get(self, path: str):
        """Status and JSON of a GET."""
        connection = self.connect()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def post(self, path: str, body: bytes, headers=None):
        """Status, headers and body of a POST with any bytes."""
        connection = self.connect()
        try:
            connection.request("POST", path, body, {"content-type": "application/json", **(headers or {})})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def engine_metric(self, name: str) -> float:
        """Sum of a metric over the running engines, asked on their own sockets."""
        sockets = [path for path in (self.home / "run").rglob("*") if stat.S_ISSOCK(path.stat().st_mode)]
        assert sockets, "no engine is running"
        return sum(_metric(path, name) for path in sockets)

    def stop(self):
        """Asks the server to end, as a supervisor does, and checks that it ends well."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"SIGTERM did not end the server\n{self.tail()}") from None
        assert code == 0, f"the server ended with {code}\n{self.tail()}"

    def tail(self) -> str:
        """The end of the server's log."""
        return self.log.read_text(errors="replace")[-4000:]

    def _wait(self, what: str, ready):
        deadline = time.monotonic() + START_SECONDS
        while not _quietly(ready):
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}\n{self.tail()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"the server did not show {what}\n{self.tail()}")
            time.sleep(0.05)


def _quietly(ready):
    try:
        return ready()
    except OSError:
        return False


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


def _metric(path: pathlib.Path, name: str) -> float:
    connection = _UnixConnection(path)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    values = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith((name + " ", name + "{"))]
    assert values, f"{name} is not among the engine's metrics"
    return sum(float(value) for value in values)
