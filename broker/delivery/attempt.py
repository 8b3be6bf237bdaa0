"""One attempt to send a notification to an endpoint, over HTTP or MQTT (6.3.8, 7.2), and what counts as its success or failure.

Everything that notifies sends through here: subscriptions (5.8.6), subscriptions to registrations (5.11.7), snapshots (5.16.6).
"""

import time

from broker import metrics
from broker.delivery.endpoint import Endpoint
from broker.delivery.failure import OF_THE_MESSAGE, Failure, Kind
from broker.delivery.mqtt import MqttPublisher
from broker.delivery.mqtt_link import MqttError
from broker.delivery.payload import Message
from broker.egress.error import EgressError
from broker.egress.http import OutboundHttp


class AttemptFailed(Exception):
    """The receiver did not take a notification. The text is the reason; for the two marks see `Course.failed`."""

    def __init__(
        self,
        reason: str,
        *,
        by_message: bool = False,
        unanswered: bool = False,
        kind: Kind = "not composed",
        status: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.by_message = by_message
        self.unanswered = unanswered
        self.kind: Kind = kind
        self.status = status

    def at(self, now: str) -> Failure:
        """The failure, as something that happened at an instant."""
        return Failure(now, self.kind, str(self), self.status)


async def send(http: OutboundHttp, mqtt: MqttPublisher, endpoint: Endpoint, message: Message) -> None:
    """Send a message to an endpoint once, in the endpoint's time. Raises AttemptFailed.

    Over HTTP any 2xx is success: 5.8.6 names 200, but receivers rightly answer 201, 202 or 204. Over MQTT it is the MQTT broker's
    acknowledgement, or with quality 0 that it has read the message.
    """
    started, delivered = time.perf_counter(), False
    try:
        if endpoint.mqtt is not None:
            await mqtt.publish(endpoint.mqtt, message.mqtt_payload(), message.body["id"], endpoint.timeout)
        else:
            await _post(http, endpoint, message)
        delivered = True
    except EgressError as error:
        reason = f"{error.reason}: {error.message}"
        raise AttemptFailed(reason, unanswered=error.reason != "forbidden", kind=error.reason) from error
    except MqttError as error:
        raise AttemptFailed(str(error), unanswered=True, kind="mqtt") from error
    finally:
        metrics.notified(endpoint.lane[1], delivered, time.perf_counter() - started)


async def _post(http: OutboundHttp, endpoint: Endpoint, message: Message) -> None:
    answer = await http.post(endpoint.uri, message.http_body(), message.http_headers(), endpoint.timeout)
    if not 200 <= answer.status < 300:
        by_message = answer.status in OF_THE_MESSAGE
        raise AttemptFailed(f"status {answer.status}", by_message=by_message, kind="status", status=answer.status)
