"""`tsunagu doctor`: looks at everything a broker needs before it is needed, and says how to mend what is wrong.

Each check returns findings (`broker.store.protocol.Finding`); none raises, because a patient with two illnesses
wants to hear of both. What a check cannot find out it says, and counts it as in order. A finding that is in order
may carry advice.
"""

import asyncio
import ctypes
import ctypes.util
import http.client
import importlib
import importlib.metadata
import json
import os
import platform
import shutil
import socket
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from broker.egress.tls import check_files
from broker.errors import NgsiLdError
from broker.model.entity import JsonObject
from broker.operations.indexes import index_listing
from broker.settings import Settings, StoreAddress
from broker.store.protocol import Finding, Store

STORE_SECONDS: Final = 15.0
"""How long the store may take to open and to examine itself."""

LEAST_FREE_BYTES: Final = 1024**3
SLOW_SYNC_SECONDS: Final = 0.2
_GIB: Final = 1024**3
_PARTS: Final = ("aiohttp", "uvloop", "orjson", "pyld", "pymongo", "shapely", "re2", "icu4py")
_DISTRIBUTIONS: Final = {"re2": "google-re2", "pyld": "PyLD"}
_CLOCK_UNSYNCHRONISED: Final = 5

MOST_SHOWN: Final = 20
"""Indexes of values that are listed one by one."""

TSUNAGU: Final = "tsunagu"
"""How a broker of this kind begins its Server header."""


async def examine(settings: Settings, make_store: Callable[[StoreAddress], Store]) -> list[Finding]:
    """All findings for these settings. `make_store` gives the store of an address, not opened yet."""
    findings = check_python()
    findings += await asyncio.to_thread(check_clock)
    findings += await asyncio.to_thread(check_port, settings.host, settings.port)
    findings += check_reach(settings)
    findings += await asyncio.to_thread(check_tls, settings)
    findings += check_workers(settings.workers, os.cpu_count() or 1)
    address = settings.store_address
    if address.kind == "sqlite" and address.path != ":memory:":
        directory = await asyncio.to_thread(check_directory, Path(address.path))
        findings += directory
        if not all(finding.ok for finding in directory):
            return findings
        if await asyncio.to_thread(who_answers, settings.host, settings.port) == TSUNAGU:
            return findings + await asyncio.to_thread(check_running, settings)
        if not await asyncio.to_thread(Path(address.path).exists):
            return findings
    if not all(finding.ok for finding in findings if finding.subject == "python"):
        return findings
    return findings + await check_store(settings, make_store(address))


def check_python() -> list[Finding]:
    """The interpreter, and the libraries that come as compiled wheels and so may not fit this machine."""
    findings = []
    version = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    if arguments and "--enable-optimizations" not in arguments:
        version += ", built without --enable-optimizations: a distribution's own python3 runs pure Python 20 % faster"
    modern = sys.version_info >= (3, 11)
    findings.append(Finding("python", modern, version, "" if modern else "install Python 3.11 or newer"))
    for name in _PARTS:
        try:
            importlib.import_module(name)
        except ImportError as error:
            findings.append(Finding("python", False, f"{name} cannot be imported: {error}", "run `make install` again"))
    if all(finding.ok for finding in findings):
        versions = ", ".join(f"{name} {importlib.metadata.version(_DISTRIBUTIONS.get(name, name))}" for name in _PARTS)
        findings.append(Finding("python", True, versions))
    return findings


def check_clock() -> list[Finding]:
    """Whether the clock runs, and whether something keeps it right: createdAt and modifiedAt come from it."""
    wall, steady = time.time(), time.monotonic()
    time.sleep(0.05)
    drift = abs((time.time() - wall) - (time.monotonic() - steady))
    if drift > 0.02:
        remedy = "look at what sets this machine's clock: it was moved while we looked"
        return [Finding("clock", False, f"the clock jumped by {drift:.3f} s in 50 ms", remedy)]
    state = _clock_state()
    if state is None:
        return [Finding("clock", True, "runs evenly; whether NTP keeps it right cannot be told here")]
    if not state:
        remedy = "start a time service, such as `systemctl enable --now systemd-timesyncd`"
        # Advice only: a virtual machine's clock may be kept right from outside.
        return [
            Finding("clock", True, "runs evenly, but the kernel knows of no time service that keeps it right", remedy)
        ]
    return [Finding("clock", True, "runs evenly and is kept right by a time service")]


def _clock_state() -> bool | None:
    """Whether the kernel's clock is synchronised, None where that cannot be read."""
    if Path("/run/systemd/timesync/synchronized").exists():
        return True
    try:
        adjtimex = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6").adjtimex
    except (OSError, AttributeError):
        return None
    state = adjtimex(ctypes.create_string_buffer(512))  # modes = 0: only read; the struct has 208 bytes
    return None if state < 0 else state != _CLOCK_UNSYNCHRONISED


def check_directory(directory: Path) -> list[Finding]:
    """Whether SQLite's directory can be written durably, how fast, and how much room there is."""
    place = directory.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        remedy = f"choose another --store, or move the file {place} away"
        return [Finding("directory", False, f"{place} is not a directory", remedy)]
    try:
        seconds = _sync_seconds(place)
        free = shutil.disk_usage(place).free
    except OSError as error:
        remedy = f"let the user of this process write there (chown, chmod or mount {place}), or choose another --store"
        return [Finding("directory", False, f"{place} cannot be written: {error.strerror or error}", remedy)]
    about = f"{place} is writable" if place == directory.absolute() else f"{directory} will be made in {place}"
    slow = seconds > SLOW_SYNC_SECONDS
    speed = f"{about}; a durable write takes {seconds * 1000:.1f} ms"
    full = free < LEAST_FREE_BYTES
    faster = "put the store on a local disk (SSD), not on a network share"
    room = f"free or add disk space: {LEAST_FREE_BYTES / _GIB:g} GiB at least"
    return [
        Finding("directory", not slow, speed, faster if slow else ""),
        Finding("directory", not full, f"{free / _GIB:.1f} GiB free", room if full else ""),
    ]


def _sync_seconds(directory: Path) -> float:
    """The median time of seven small durable writes."""
    times = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(7):
            start = time.perf_counter()
            file.write(b"tsunagu" * 512)
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


async def check_store(settings: Settings, store: Store) -> list[Finding]:
    """What the store says about itself, or why it cannot be reached."""
    remedy = "start it, or correct --store"
    if settings.store_address.kind == "mongodb":
        remedy = "start MongoDB as a replica set (mongod --replSet rs0; then rs.initiate() once), or correct --store"
    try:
        async with asyncio.timeout(STORE_SECONDS):
            await store.open()
            try:
                findings = await store.examine()
                if all(finding.ok for finding in findings):
                    findings += index_findings(index_listing(await store.value_indexes()))
                return findings
            finally:
                await store.close()
    except TimeoutError:
        message = f"{settings.store_label} did not answer within {STORE_SECONDS:g} s"
    except NgsiLdError as error:
        message = f"{settings.store_label}: {error.detail}"
    return [Finding("store", False, message, remedy)]


def check_port(host: str, port: int) -> list[Finding]:
    """Whether the port is free, or who answers there."""
    if port == 0:
        return [Finding("port", True, "a free port will be taken")]
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        return [Finding("port", False, f"{host}: {error.strerror or error}", "correct --host")]
    try:
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1)
    except PermissionError:
        return [Finding("port", False, f"this user may not listen on port {port}", "choose a --port above 1023")]
    except OSError as error:
        who = who_answers(host, port)
        if who == TSUNAGU:
            return [Finding("port", True, f"a Tsunagu broker answers on {host}:{port} already")]
        if who:
            remedy = f"end it, or choose another --port (`ss -ltnp sport = :{port}` names the process)"
            return [Finding("port", False, f"{host}:{port} is taken by {who}", remedy)]
        return [Finding("port", False, f"{host}:{port}: {error.strerror or error}", "correct --host and --port")]
    return [Finding("port", True, f"{host}:{port} is free")]


def who_answers(host: str, port: int) -> str:
    """TSUNAGU, what else listens there, or nothing where nobody does."""
    try:
        status, server = _ask(host, port, "/health/live")
    except http.client.HTTPException:
        return "a program that does not speak HTTP"
    except TimeoutError:
        return "a program that does not answer"
    except OSError:
        return ""
    if status == 200 and server.lower().startswith("tsunagu"):
        return TSUNAGU
    return f"another HTTP server ({server or 'without a name'})"


def _read(host: str, port: int, path: str) -> bytes:
    """The body of the answer to a GET."""
    connection = http.client.HTTPConnection("127.0.0.1" if host in ("0.0.0.0", "::") else host, port, timeout=3)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def _ask(host: str, port: int, path: str) -> tuple[int, str]:
    """Status and Server header of the answer to a GET."""
    connection = http.client.HTTPConnection("127.0.0.1" if host in ("0.0.0.0", "::") else host, port, timeout=3)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, (answer.getheader("Server") or "").strip()
    finally:
        connection.close()


def check_running(settings: Settings) -> list[Finding]:
    """The store of the broker that is serving already, which holds it alone: what that broker says of it."""
    try:
        status, _ = _ask(settings.host, settings.port, "/health/ready")
    except (OSError, http.client.HTTPException) as error:
        return [Finding("store", False, f"the running broker does not say whether it is ready: {error}", "see its log")]
    message = f"is held by the running broker, whose /health/ready answers {status}"
    found = [Finding("store", status == 200, message, "" if status == 200 else "see that broker's log")]
    try:
        return found + index_findings(json.loads(_read(settings.host, settings.port, "/tsunagu/v1/indexes"))["indexes"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return found  # an earlier version, or one that is too busy to say


def index_findings(listed: Sequence[JsonObject]) -> list[Finding]:
    """The indexes of values that the store has learned, the most used first."""
    if not listed:
        return [Finding("indexes", True, "no values are indexed: no query has asked for it often enough")]
    shown = sorted(listed, key=lambda each: -each["uses"])[:MOST_SHOWN]
    findings = []
    for each in shown:
        size = (
            f"{each['entries']:,} entries" if each["entries"] is not None else f"{(each['bytes'] or 0) / 2**20:.1f} MiB"
        )
        about = f"{each['path']} of {each['type'] or 'entities of every type'}"
        findings.append(
            Finding("indexes", True, f"{about}: {each['state']}, led {each['uses']:,} queries lately, {size}")
        )
    if len(listed) > len(shown):
        findings.append(Finding("indexes", True, f"and {len(listed) - len(shown)} more"))
    return findings


def check_reach(settings: Settings) -> list[Finding]:
    """Who can reach the broker, under which name, and whom it may call."""
    listens = f"listens on {settings.host}"
    if settings.host not in ("127.0.0.1", "::1", "localhost"):
        listens += ": other machines reach it, and it asks nobody who they are: put a proxy that does before it"
    name = f"{settings.base_url}, in Via headers {settings.via_alias}"
    return [
        Finding("reach", True, listens),
        Finding("reach", True, f"calls itself {name}"),
        Finding("egress", True, f"may call: {settings.egress}"),
    ]


def check_tls(settings: Settings) -> list[Finding]:
    """Whether the files that are set for TLS connections to other hosts can be used."""
    findings = []
    for host in settings.tls_hosts:
        fault = check_files(host)
        if fault is None:
            shows = "shows a certificate" if host.certificate else "shows no certificate"
            trusts = f"trusts {host.ca}" if host.ca else "trusts the system's authorities"
            findings.append(Finding("tls", True, f"{host.name}: {trusts}, {shows}"))
        else:
            remedy = "let this user read PEM files, with a key that belongs to the certificate and has no pass phrase"
            findings.append(Finding("tls", False, f"{host.name}: {fault}", remedy))
    return findings


def check_workers(workers: int, processors: int) -> list[Finding]:
    """Whether there is a processor for each worker, where there are several."""
    if workers == 1:
        return []
    message = f"{workers} processes share the port, on {processors} processors"
    many = workers > processors
    return [
        Finding(
            "workers",
            True,
            message,
            f"set workers to {processors} at most: more get in each other's way" if many else "",
        )
    ]
