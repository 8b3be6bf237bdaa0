"""`tsunagu serve` as a process: it is there within two seconds, idles small, answers, and ends well."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

START_SECONDS = 2.0
IDLE_BYTES = 120 * 1024 * 1024

ENTITY = {"id": "urn:ngsi-ld:Shelter:1", "type": "Shelter", "name": {"type": "Property", "value": "中央公民館"}}


class Serving:
    """A broker process and its port."""

    def __init__(self, directory: Path, *options: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TSUNAGU_")}
        command = [sys.executable, "-m", "broker.cli", "serve", "--port", str(self.port), *options]
        self.process = subprocess.Popen(
            command, cwd=directory, env=clean, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def ask(self, path: str, body: object = None) -> tuple[int, str, str]:
        """Status, media type and text of an answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"} if data else {})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers.get_content_type(), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get_content_type(), error.read().decode()

    def wait_until_live(self, seconds: float = 20.0) -> float:
        """Seconds until /health/live answered, from now on."""
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            assert self.process.poll() is None, self.process.communicate()
            try:
                if self.ask("/health/live")[0] == 200:
                    return time.perf_counter() - start
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"not live within {seconds} s")

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """Exit code, output and errors after a signal."""
        self.process.send_signal(number)
        output, errors = self.process.communicate(timeout=30)
        return self.process.returncode, output, errors


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    """Starts brokers in the test's directory; those that still run afterwards are killed."""
    started = []

    def start(*options: str, port: int | None = None) -> Serving:
        started.append(Serving(tmp_path, *options, port=port))
        return started[-1]

    yield start
    for serving in started:
        if serving.process.poll() is None:
            serving.process.kill()
            serving.process.communicate()


def test_it_answers_within_two_seconds_of_its_start(serve: Callable[..., Serving]) -> None:
    seconds = []
    for _ in range(3):
        serving = serve()
        seconds.append(serving.wait_until_live())
        serving.end()
        if seconds[-1] < START_SECONDS:
            break
    assert min(seconds) < START_SECONDS


def test_it_idles_in_little_memory(serve: Callable[..., Serving]) -> None:
    serving = serve()
    serving.wait_until_live()
    assert serving.ask("/ngsi-ld/v1/entities", ENTITY)[0] == 201
    time.sleep(0.5)
    assert psutil.Process(serving.process.pid).memory_info().rss < IDLE_BYTES


def test_health_and_metrics_answer(serve: Callable[..., Serving]) -> None:
    serving = serve()
    serving.wait_until_live()
    assert serving.ask("/health/live")[:2] == (200, "application/json")
    assert serving.ask("/health/ready")[:2] == (200, "application/json")
    serving.ask("/ngsi-ld/v1/entities", ENTITY)
    status, media_type, text = serving.ask("/metrics")
    assert (status, media_type) == (200, "text/plain")
    assert 'status="201"' in text
    assert "tsunagu_build_info{version=" in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_exit_code_0(serve: Callable[..., Serving], number: signal.Signals) -> None:
    serving = serve()
    serving.wait_until_live()
    code, _, errors = serving.end(number)
    assert code == 0
    assert "Traceback" not in errors


def test_when_ready_it_says_where_it_is_and_what_to_try(serve: Callable[..., Serving]) -> None:
    serving = serve("--store", "sqlite:./city")
    serving.wait_until_live()
    _, output, _ = serving.end()
    assert f"serves NGSI-LD on http://localhost:{serving.port} and keeps its state in sqlite:./city." in output
    tries = [line.strip() for line in output.splitlines() if line.startswith("  curl ")]
    assert len(tries) == 3


def test_on_port_0_it_takes_a_free_port_and_says_which(serve: Callable[..., Serving]) -> None:
    serving = serve("--port", "0")
    assert serving.process.stdout is not None
    url = serving.process.stdout.readline().partition(" on ")[2].split()[0]
    with urllib.request.urlopen(f"{url}/health/live", timeout=10) as answer:
        assert answer.status == 200
    assert serving.end()[0] == 0


def test_the_lines_to_try_work_as_they_are_printed(serve: Callable[..., Serving]) -> None:
    serving = serve()
    serving.wait_until_live()
    assert serving.process.stdout is not None
    lines = []
    while len(lines) < 3:
        line = serving.process.stdout.readline()
        assert line, "it ended"
        lines += [line.strip()] if line.startswith("  curl ") else []
    answers = [subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=20) for line in lines]
    assert [answer.returncode for answer in answers] == [0, 0, 0]
    assert "201 Created" in answers[0].stdout
    assert "中央公民館" in answers[1].stdout


def test_what_was_acknowledged_is_there_after_a_restart(serve: Callable[..., Serving]) -> None:
    first = serve()
    first.wait_until_live()
    assert first.ask("/ngsi-ld/v1/entities", ENTITY)[0] == 201
    first.process.kill()
    first.process.communicate()
    second = serve()
    second.wait_until_live()
    status, _, text = second.ask("/ngsi-ld/v1/entities/urn:ngsi-ld:Shelter:1")
    assert status == 200
    assert json.loads(text)["name"]["value"] == "中央公民館"


def test_a_taken_port_is_told_and_ends_with_exit_code_1(serve: Callable[..., Serving]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        serving = serve(port=port)
        output, errors = serving.process.communicate(timeout=30)
    assert serving.process.returncode == 1
    assert output == ""
    assert f"port {port}" in errors
    assert "Traceback" not in errors


def test_tls_files_that_cannot_be_used_are_told_and_end_it_with_exit_code_1(serve: Callable[..., Serving]) -> None:
    serving = serve("--tls", "sink.example ca=/nowhere.pem")
    _, errors = serving.process.communicate(timeout=30)
    assert serving.process.returncode == 1
    assert "sink.example" in errors
    assert "/nowhere.pem" in errors
    assert "Traceback" not in errors


def test_a_store_that_cannot_be_opened_is_told_and_ends_with_exit_code_1(
    serve: Callable[..., Serving], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    serving = serve("--store", "sqlite:./file/data")
    _, errors = serving.process.communicate(timeout=30)
    assert serving.process.returncode == 1
    assert "store" in errors
    assert "Traceback" not in errors


def test_a_second_broker_on_the_same_directory_is_refused(serve: Callable[..., Serving]) -> None:
    first = serve()
    first.wait_until_live()
    second = serve()
    _, errors = second.process.communicate(timeout=30)
    assert second.process.returncode == 1
    assert "in use by another broker" in errors
    assert first.ask("/health/ready")[0] == 200


def test_json_logs_are_json_on_every_line(serve: Callable[..., Serving]) -> None:
    serving = serve("--log-format", "json", "--log-level", "debug")
    serving.wait_until_live()
    serving.ask("/ngsi-ld/v1/entities", ENTITY)
    _, _, errors = serving.end()
    events = [json.loads(line) for line in errors.splitlines()]
    assert any(event["event"] == "request" and event.get("status") == 201 for event in events)


def test_a_body_above_the_limit_is_refused(serve: Callable[..., Serving]) -> None:
    serving = serve("--max-body-bytes", "2048")
    serving.wait_until_live()
    status, _, text = serving.ask("/ngsi-ld/v1/entities", ENTITY | {"note": {"type": "Property", "value": "x" * 4096}})
    assert status in (400, 413)
    assert "2048" in text
