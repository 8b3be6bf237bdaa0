"""A real MQTT broker for the tests: mosquitto, or amqtt from the test environment where mosquitto is missing."""

import importlib.util
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from certificates import Authority, Certificates, OpensslMissing
from mongod import ServerProcess, die_with_parent, free_port

START_SECONDS = 20.0


class MqttBrokerMissing(Exception):
    """There is no MQTT broker that the tests could use; the message says why."""


@dataclass(frozen=True)
class Credentials:
    """The one user that a protected broker lets in."""

    username: str
    password: str


def find_mosquitto() -> str | None:
    """The path of mosquitto (Debian keeps it in /usr/sbin, which is not on every PATH)."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class MqttBroker(ServerProcess):
    """One MQTT broker process on 127.0.0.1, which can be stopped, killed, frozen and started again on the same port.

    Messages of quality 1 and 2 and sessions live in memory only: a stopped broker forgets them, unless it is `persistent`.
    With `certificates` it is on TLS; with `asks_for_certificates` it lets only clients in that show one of the same authority.
    These two need mosquitto. `inflight` is how much it sends each client before that acknowledges some of it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        credentials: Credentials | None = None,
        certificates: Certificates | None = None,
        asks_for_certificates: bool = False,
        persistent: bool = False,
        inflight: int = 20,
    ) -> None:
        self.folder = folder
        self.host = "127.0.0.1"
        self.port = free_port()
        self.credentials = credentials
        self.certificates = certificates
        self.asks_for_certificates = asks_for_certificates
        self.persistent = persistent
        self.inflight = inflight
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def scheme(self) -> str:
        """`mqtt` or `mqtts`, as in an endpoint's URI (7.2)."""
        return "mqtts" if self.certificates else "mqtt"

    @property
    def uri(self) -> str:
        """The broker's address as an endpoint's URI, without a topic: mqtt[s]://[user:password@]host:port."""
        login = f"{self.credentials.username}:{self.credentials.password}@" if self.credentials else ""
        return f"{self.scheme}://{login}{self.host}:{self.port}"

    def start(self) -> None:
        """Start the process and wait until it listens. Raises MqttBrokerMissing with its output if it does not."""
        mosquitto = find_mosquitto()
        if mosquitto is not None:
            command = [mosquitto, "-c", str(self._mosquitto_configuration())]
        elif self.persistent or self.asks_for_certificates:
            raise MqttBrokerMissing("mosquitto is not installed")
        elif importlib.util.find_spec("amqtt") is not None:
            command = [sys.executable, "-m", "amqtt.scripts.broker_script", "-c", str(self._amqtt_configuration())]
        else:
            raise MqttBrokerMissing("neither mosquitto nor amqtt is installed")
        output = self.folder / "broker.log"
        with output.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with closing(socket.socket()) as probe:
                if probe.connect_ex((self.host, self.port)) == 0:
                    return
            time.sleep(0.02)
        self.stop()
        raise MqttBrokerMissing(f"the MQTT broker does not start:\n{output.read_text(errors='replace')[-2000:]}")

    def save(self) -> None:
        """Have it write its sessions and messages to disk for the first time (mosquitto only), and wait until they are there."""
        assert self.process is not None
        self.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + START_SECONDS
        while not (self.folder / "mosquitto.db").exists():
            assert time.monotonic() < deadline, f"mosquitto cannot save what it has:\n{self.log[-2000:]}"
            time.sleep(0.02)

    @property
    def log(self) -> str:
        """What it has said so far."""
        return (self.folder / "broker.log").read_text(errors="replace")

    def _mosquitto_configuration(self) -> Path:
        lines = [f"listener {self.port} {self.host}", "max_queued_messages 100000"]
        lines.append(f"max_inflight_messages {self.inflight}")
        lines += (
            ["persistence true", f"persistence_location {self.folder}/"] if self.persistent else ["persistence false"]
        )
        if self.credentials is None:
            lines.append("allow_anonymous true")
        else:
            users = self.folder / "users"
            users.write_text(f"{self.credentials.username}:{self.credentials.password}\n")
            subprocess.run(["mosquitto_passwd", "-U", str(users)], check=True, capture_output=True)
            users.chmod(0o644)
            lines += ["allow_anonymous false", f"password_file {users}"]
        if self.certificates is not None:
            lines += [f"certfile {self.certificates.certificate}", f"keyfile {self.certificates.key}"]
            self.certificates.key.chmod(0o644)
        if self.asks_for_certificates and self.certificates is not None:
            lines += [f"cafile {self.certificates.authority}", "require_certificate true"]
        self.folder.chmod(0o777)  # started by root, mosquitto reads and writes its files as the user mosquitto
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text("\n".join(lines) + "\n")
        return configuration

    def _amqtt_configuration(self) -> Path:
        listener: dict[str, object] = {"type": "tcp", "bind": f"{self.host}:{self.port}"}
        if self.certificates is not None:
            listener |= {
                "ssl": True,
                "certfile": str(self.certificates.certificate),
                "keyfile": str(self.certificates.key),
            }
        plugins: dict[str, object] = {}
        if self.credentials is None:
            plugins["amqtt.plugins.authentication.AnonymousAuthPlugin"] = {"allow_anonymous": True}
        else:
            from pwdlib.hashers.argon2 import Argon2Hasher  # comes with amqtt

            users = self.folder / "users"
            users.write_text(f"{self.credentials.username}:{Argon2Hasher().hash(self.credentials.password)}\n")
            plugins["amqtt.plugins.authentication.FileAuthPlugin"] = {"password_file": str(users)}
        configuration = self.folder / "amqtt.yaml"
        configuration.write_text(yaml.safe_dump({"listeners": {"default": listener}, "plugins": plugins}))
        return configuration


@contextmanager
def running_mqtt_broker(
    *,
    credentials: Credentials | None = None,
    tls: bool = False,
    asks_for_certificates: bool = False,
    persistent: bool = False,
) -> Iterator[MqttBroker]:
    """An MQTT broker of one's own for as long as the block runs. Raises MqttBrokerMissing.

    With `tls` an authority made for it vouches for localhost and 127.0.0.1.
    """
    folder = Path(tempfile.mkdtemp(prefix="tsunagu-mqtt-"))
    try:
        try:
            certificates = Authority(folder).issue("server") if tls else None
        except OpensslMissing as missing:
            raise MqttBrokerMissing(str(missing)) from missing
        broker = MqttBroker(
            folder,
            credentials=credentials,
            certificates=certificates,
            asks_for_certificates=asks_for_certificates,
            persistent=persistent,
        )
        broker.start()
        try:
            yield broker
        finally:
            broker.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
