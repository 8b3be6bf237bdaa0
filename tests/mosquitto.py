"""A real MQTT broker for the tests: mosquitto, or amqtt from the test environment where mosquitto is missing."""

import importlib.util
import shutil
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
from mongod import die_with_parent, free_port

START_SECONDS = 20.0


class MqttBrokerMissing(Exception):
    """There is no MQTT broker that the tests could use; the message says why."""


@dataclass(frozen=True)
class Credentials:
    """The one user that a protected broker lets in."""

    username: str
    password: str


@dataclass(frozen=True)
class Certificates:
    """PEM files of an authority of one's own and of the server localhost / 127.0.0.1 that it vouches for."""

    authority: Path
    certificate: Path
    key: Path


def find_mosquitto() -> str | None:
    """The path of mosquitto (Debian keeps it in /usr/sbin, which is not on every PATH)."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def make_certificates(folder: Path) -> Certificates:
    """Create an authority and a server certificate for localhost with the openssl command. Raises MqttBrokerMissing."""
    if shutil.which("openssl") is None:
        raise MqttBrokerMissing("the openssl command, which makes the certificates, is not installed")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    (folder / "server.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=Test authority", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", *key, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
    signer = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "server.ext")
    openssl("x509", "-req", "-in", "server.csr", *signer, "-out", "server.pem")
    return Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")


class MqttBroker:
    """One MQTT broker process on 127.0.0.1, which can be stopped and started again on the same port.

    Messages of quality 1 and 2 and sessions live in memory only: a stopped broker forgets them.
    """

    def __init__(self, folder: Path, *, credentials: Credentials | None = None, tls: bool = False) -> None:
        self.folder = folder
        self.host = "127.0.0.1"
        self.port = free_port()
        self.credentials = credentials
        self.certificates = make_certificates(folder) if tls else None
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

    def stop(self) -> None:
        """Stop it, by force if it takes more than five seconds."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _mosquitto_configuration(self) -> Path:
        lines = [f"listener {self.port} {self.host}", "persistence false", "max_queued_messages 100000"]
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
        self.folder.chmod(0o755)  # started by root, mosquitto reads its files as the user mosquitto
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
def running_mqtt_broker(*, credentials: Credentials | None = None, tls: bool = False) -> Iterator[MqttBroker]:
    """An MQTT broker of one's own for as long as the block runs. Raises MqttBrokerMissing."""
    folder = Path(tempfile.mkdtemp(prefix="tsunagu-mqtt-"))
    try:
        broker = MqttBroker(folder, credentials=credentials, tls=tls)
        broker.start()
        try:
            yield broker
        finally:
            broker.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
