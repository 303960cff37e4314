"""An asynchronous client for OpenAI-compatible servers, and starting and stopping them.

Shared by the programs of this folder. Only Python's own library, so that the client costs little.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Stream:
    """What one stream did. Times are `time.perf_counter()`."""

    started: float
    times: list[float] = field(default_factory=list)
    tokens: int = 0
    ended: float = 0.0
    text: str = ""

    @property
    def gaps(self):
        return [after - before for before, after in zip(self.times, self.times[1:])]


async def run(url, body, on_chunk=None):
    """One streamed chat; raises when it does not end with [DONE]."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80, limit=1 << 22)
    payload = json.dumps(body).encode()
    head = (
        f"POST {parts.path}/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\nconnection: close\r\n"
        f"content-type: application/json\r\ncontent-length: {len(payload)}\r\n\r\n"
    )
    stream = Stream(time.perf_counter())
    writer.write(head.encode() + payload)
    done = False
    status = await reader.readline()
    if b" 200 " not in status:
        raise RuntimeError(f"{status!r} {(await reader.read())[-500:]!r}")
    async for line in reader:
        if not line.startswith(b"data: "):
            continue
        now = time.perf_counter()
        data = line[6:].strip()
        if data == b"[DONE]":
            done = True
            break
        event = json.loads(data)
        if event.get("error"):
            raise RuntimeError(event["error"])
        if event.get("usage"):
            stream.tokens = event["usage"]["completion_tokens"]
        if event["choices"] and event["choices"][0]["delta"].get("content"):
            stream.times.append(now)
            stream.text += event["choices"][0]["delta"]["content"]
            if on_chunk:
                on_chunk()
    stream.ended = time.perf_counter()
    writer.close()
    if not done:
        raise RuntimeError("the stream ended without [DONE]")
    return stream


def percentile(values, share):
    """The value at `share` (0 to 1) of the sorted values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def free_port():
    """A port of the loopback that nobody uses now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    """A server that this program starts, and stops by its process id."""

    def __init__(self, name, command, url, log, env=None):
        self.name, self.url = name, url
        self.log = open(log, "wb")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env={**os.environ, **(env or {})}
        )

    def wait_ready(self, path, limit=120):
        """Waits until a GET of `path` answers 200."""
        parts = urlsplit(self.url)
        # Never through a proxy that the environment names.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        until = time.monotonic() + limit
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}: see {self.log.name}")
            try:
                with opener.open(f"{parts.scheme}://{parts.netloc}{path}", timeout=2) as answer:
                    if answer.status == 200:
                        return self
            except OSError:
                pass
            time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"{self.name} is not ready after {limit} s: see {self.log.name}")

    def stop(self):
        """SIGTERM, and SIGKILL for who does not listen; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        return self.process.returncode
