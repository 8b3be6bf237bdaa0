"""`tsunagu doctor` on healthy and on broken surroundings: what it finds, and that it says how to mend it."""

import http.server
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from certificates import Authority

from broker import doctor
from broker.settings import Settings, StoreAddress
from broker.store.mongo.store import MongoStore
from broker.store.protocol import Finding, Store
from broker.store.sqlite.store import SqliteStore


def make_store(address: StoreAddress) -> Store:
    if address.kind == "mongodb":
        return MongoStore(address.url, address.database)
    return SqliteStore(address.path)


def of(findings: list[Finding], subject: str) -> list[Finding]:
    return [finding for finding in findings if finding.subject == subject]


@contextmanager
def web_server(name: str, ready: int = 200) -> Iterator[int]:
    """A web server with this name in its Server header; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        server_version, sys_version = name, ""

        def do_GET(self) -> None:
            self.send_response(ready if self.path == "/health/ready" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Stay quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


async def test_everything_is_in_order_with_an_open_directory_and_a_free_port(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    await store.open()
    await store.close()
    findings = await doctor.examine(Settings(store=f"sqlite:{tmp_path}", port=0), make_store)
    assert [finding for finding in findings if not finding.ok] == []
    assert {"python", "clock", "directory", "port", "reach", "egress"} < {finding.subject for finding in findings}


async def test_tls_files_that_cannot_be_used_are_found(tmp_path: Path) -> None:
    tls = f"sink.example ca={tmp_path}/nowhere.pem; mqtt.example:8883 ca={Authority(tmp_path).certificate}"
    bad, good = of(await doctor.examine(Settings(store="sqlite::memory:", port=0, tls=tls), make_store), "tls")
    assert (bad.ok, good.ok) == (False, True)
    assert f"{tmp_path}/nowhere.pem" in bad.message
    assert good.message.startswith("mqtt.example:8883: trusts")


async def test_a_directory_that_does_not_exist_yet_is_not_made(tmp_path: Path) -> None:
    findings = await doctor.examine(Settings(store=f"sqlite:{tmp_path}/a/b", port=0), make_store)
    assert of(findings, "directory")[0].message.startswith(f"{tmp_path}/a/b will be made in {tmp_path}")
    assert os.listdir(tmp_path) == []


def test_a_directory_that_cannot_be_written_is_broken_even_for_root() -> None:
    (finding,) = doctor.check_directory(Path("/proc/tsunagu-data"))
    assert not finding.ok
    assert finding.message.startswith("/proc cannot be written")
    assert "--store" in finding.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_directory_is_broken(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    (finding,) = doctor.check_directory(tmp_path)
    tmp_path.chmod(0o700)
    assert not finding.ok
    assert "Permission denied" in finding.message


async def test_a_file_where_the_directory_should_be_is_broken_and_the_store_is_not_tried(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    findings = await doctor.examine(Settings(store=f"sqlite:{tmp_path}/file", port=0), make_store)
    assert [finding.ok for finding in of(findings, "directory")] == [False]
    assert of(findings, "store") == []


def test_a_full_disk_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_FREE_BYTES", 1 << 62)
    speed, room = doctor.check_directory(tmp_path)
    assert speed.ok
    assert not room.ok
    assert "disk space" in room.remedy


async def test_a_store_that_another_broker_holds_is_broken(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    await store.open()
    findings = await doctor.examine(Settings(store=f"sqlite:{tmp_path}", port=0), make_store)
    await store.close()
    (finding,) = of(findings, "store")
    assert not finding.ok
    assert "in use by another broker" in finding.message


async def test_an_unreachable_mongodb_is_broken_and_its_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "STORE_SECONDS", 2.0)
    settings = Settings(store="mongodb://city:s3cret@127.0.0.1:1/city?serverSelectionTimeoutMS=500", port=0)
    findings = await doctor.examine(settings, make_store)
    (finding,) = of(findings, "store")
    assert not finding.ok
    assert finding.message.startswith("mongodb://127.0.0.1:1/city")
    assert "replica set" in finding.remedy
    assert not any("s3cret" in f"{each.message}{each.remedy}" for each in findings)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_another_web_server_has_is_broken(host: str) -> None:
    with web_server("nginx/1.29") as port:
        (finding,) = doctor.check_port(host, port)
    assert not finding.ok
    assert f"{host}:{port} is taken by another HTTP server (nginx/1.29)" in finding.message
    assert "--port" in finding.remedy


def test_a_port_that_no_web_server_has_is_broken_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def talk() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"+OK POP3 ready\r\n")

        threading.Thread(target=talk, daemon=True).start()
        (finding,) = doctor.check_port("127.0.0.1", port)
    assert not finding.ok
    assert "does not speak HTTP" in finding.message


def test_a_free_port_is_in_order() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert doctor.check_port("127.0.0.1", port)[0].ok


def test_a_host_that_is_no_address_of_this_machine_is_broken() -> None:
    (finding,) = doctor.check_port("192.0.2.1", 1026)
    assert not finding.ok
    assert "--host" in finding.remedy


@pytest.mark.parametrize(("ready", "ok"), [(200, True), (503, False)])
async def test_a_running_broker_is_asked_about_the_store_that_it_holds(tmp_path: Path, ready: int, ok: bool) -> None:
    with web_server("tsunagu/0.1.0", ready) as port:
        findings = await doctor.examine(Settings(store=f"sqlite:{tmp_path}", port=port), make_store)
    assert of(findings, "port")[0].ok
    (finding,) = of(findings, "store")
    assert finding.ok is ok
    assert f"/health/ready answers {ready}" in finding.message


def test_the_clock_runs_here() -> None:
    findings = doctor.check_clock()
    assert len(findings) == 1
    assert "jumped" not in findings[0].message


def test_listening_to_other_machines_is_pointed_out() -> None:
    assert "asks nobody who they are" in doctor.check_reach(Settings(host="0.0.0.0"))[0].message
    assert doctor.check_reach(Settings())[0].message == "listens on 127.0.0.1"


@pytest.mark.parametrize(("workers", "findings", "advice"), [(1, 0, False), (2, 1, False), (4, 1, True)])
def test_more_workers_than_processors_are_advised_against(workers: int, findings: int, advice: bool) -> None:
    found = doctor.check_workers(workers, 2)
    assert len(found) == findings
    assert all(each.ok and bool(each.remedy) == advice for each in found)
