"""The suite's MQTT client: subscribes to a topic of the test's own and keeps the messages that arrive (clause 7)."""

import queue
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import orjson
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from conformance.exchanges import ConformanceFailure
from conformance.servers import PATIENCE

DEFAULT_PORT: Final = 1883


class MqttListener:
    """Listens on one topic of an MQTT broker, given as mqtt://[user:password@]host[:port]."""

    def __init__(self, broker: str) -> None:
        parts = urlsplit(broker)
        self.topic = f"tsunagu/conformance/{uuid4().hex}"
        self.endpoint = f"{broker.rstrip('/')}/{self.topic}"
        """The URI for a subscription's endpoint (7.2)."""
        self._messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        subscribed: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        if parts.username is not None:
            self._client.username_pw_set(parts.username, parts.password)
        self._client.on_message = lambda client, data, message: self._messages.put(bytes(message.payload))
        self._client.on_subscribe = lambda *_: subscribed.put(True)
        self._client.connect(parts.hostname or "localhost", parts.port or DEFAULT_PORT)
        self._client.loop_start()
        self._client.subscribe(self.topic, qos=2)
        try:
            subscribed.get(timeout=PATIENCE)
        except queue.Empty:
            self.close()
            raise ConnectionError(f"the MQTT broker at {broker} does not answer") from None

    def next_json(self, timeout: float = PATIENCE) -> Any:
        """The next message, read as JSON. Raises ConformanceFailure after `timeout` seconds."""
        try:
            return orjson.loads(self._messages.get(timeout=timeout))
        except queue.Empty:
            raise ConformanceFailure(f"a message should have come on {self.topic} within {timeout} s") from None

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> "MqttListener":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
