"""A real Ray cluster on this machine: a head without cores and nodes of one core, each a tree of processes."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

STARTS_WITHIN = 240  # seconds, on a machine that is busy
ATTEMPTS = 4  # Ray's own process for a node dies where its agent takes longer than a time that can't be set (ray#65983)


class Node:
    """One ``ray start --block``."""

    def __init__(self, *arguments: str, env: dict[str, str], log: Path):
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "ray.scripts.scripts",
                    "start",
                    "--block",
                    "--disable-usage-stats",
                    "--node-ip-address=127.0.0.1",
                    "--object-store-memory=80000000",
                    *arguments,
                ],
                env=env,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def tree(self) -> list[psutil.Process]:
        """All of its processes, workers and their kernels included."""
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def stands(self) -> bool:
        """Wait until it works; False where it ended, or the process that makes it a node did."""
        until = time.monotonic() + STARTS_WITHIN
        while "Ray runtime started" not in self.said():
            if self.process.poll() is not None or time.monotonic() > until or self._lost_raylet():
                return False
            time.sleep(0.1)
        return True

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def _lost_raylet(self) -> bool:
        for process in self.tree():
            with contextlib.suppress(psutil.Error):
                if process.name() == "raylet" and process.status() == psutil.STATUS_ZOMBIE:
                    return True
        return False

    def kernels(self) -> list[psutil.Process]:
        """The notebooks that run on it."""
        found = []
        for process in self.tree():
            with contextlib.suppress(psutil.Error):
                if "ipykernel_launcher" in process.cmdline():
                    found.append(process)
        return found

    def kill(self) -> None:
        """SIGKILL to everything of it, as when a machine goes."""
        for process in self.tree():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.process.wait()


class Cluster:
    """A head and its nodes; ``env`` is what talks to them."""

    def __init__(self) -> None:
        # The sockets' paths have to be short. Only who holds the token may run code in the cluster.
        self.folder = Path(tempfile.mkdtemp(prefix="wr-", dir="/tmp"))
        token = secrets.token_hex(32)
        self.env = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": token,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_raylet_start_wait_time_s": str(STARTS_WITHIN),
            # what one attempt compiled, the next one has: where nothing may be written beside Ray's source, each start compiles
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(self.folder / "bytecode"),
        }
        self.address = f"127.0.0.1:{_free_port()}"
        self.nodes: list[Node] = []

    def start_head(self) -> None:
        head = ["--head", f"--port={self.address.split(':')[1]}", f"--temp-dir={self.folder / 't'}"]
        self.start("--num-cpus=0", *head, "--include-dashboard=false")

    def join(self) -> Node:
        """Add a node of one core."""
        return self.start(f"--address={self.address}", "--num-cpus=1")

    def start(self, *arguments: str) -> Node:
        """Start a node and wait until it stands; two that start at once on one machine get in each other's way."""
        for _ in range(ATTEMPTS):
            node = Node(*arguments, env=self.env, log=self.folder / f"{len(self.nodes)}.log")
            if node.stands():
                self.nodes.append(node)
                return node
            node.kill()
        raise RuntimeError(f"a Ray node did not start: {node.said()}")

    def stop(self) -> None:
        """End all nodes, the head last."""
        for node in reversed(self.nodes):
            node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster that is gone when the block ends."""
    found = Cluster()
    try:
        found.start_head()
        yield found
    finally:
        found.stop()


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
