"""Errands: what a client asks this process to tell or to do about the deliveries of a subscription that another process has.

That one alone knows what is under way and what has just arrived, and only it may send. So the question is put into the store as a
document, and the answer comes back as another one. Whoever has the subscription takes the question away before it answers: so
it is answered once, also where a share changes hands in between. Nobody waits for ever: who has put a question takes it back
if nobody has taken it after a while.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from broker import errors
from broker.errors import InternalError, NgsiLdError, StoreUnavailable
from broker.model.entity import JsonObject
from broker.model.instants import parse_instant
from broker.sharing.following import Following
from broker.store.protocol import DocumentEvent

if TYPE_CHECKING:
    from broker.operations.broker import Broker

ERRAND: Final = "errand"
ANSWER: Final = "errandAnswer"
"""The kinds of the documents of questions and of their answers, which have the same id."""
HEED: Final = "heed"
"""What is asked of the process that has a subscription when it was changed through another one."""
UNTAKEN_SECONDS: Final = 8.0
"""How long a question waits for somebody who takes it: longer than it takes to replace a process that died."""
UNANSWERED_SECONDS: Final = 60.0
"""How long it waits for the answer then: longer than any replay takes."""
HEED_SECONDS: Final = 1.0
"""How long whoever has changed a subscription waits until the process that has it knows."""
FORGET_SECONDS: Final = 180.0
"""After that time nobody waits for an answer any more."""
REMIND_SECONDS: Final = 1.0
"""How often a question is put once more, for somebody who may have taken the subscription over since."""
SHORTEST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 0.25
"""Seconds between looks for the answer: pauses grow from one to the other."""

Deed: TypeAlias = Callable[["Broker", str, str, JsonObject], Coroutine[Any, Any, JsonObject]]
"""What is done: tenant, subscription id, arguments; the answer. It may raise any NgsiLdError."""

_LOG: Final = logging.getLogger(__name__)


class Errands:
    """See the module. `deeds` are what there is to be done, by name."""

    def __init__(self, broker: "Broker", deeds: Mapping[str, Deed]) -> None:
        self._broker = broker
        self._deeds = deeds
        self._at_work: set[asyncio.Task[None]] = set()

    def follow(self, following: Following) -> None:
        """Hear of what other processes ask."""
        following.add([ERRAND], self._asked, self._look_at_all)

    async def stop(self) -> None:
        """Do nothing more for others."""
        for task in self._at_work:
            task.cancel()
        await asyncio.gather(*self._at_work, return_exceptions=True)

    async def ask(self, tenant: str, subscription_id: str, deed: str, given: JsonObject) -> JsonObject:
        """Have something done by the process that has a subscription, which may be this one.

        Raises what the deed raises, and StoreUnavailable where nobody does it in time.
        """
        if self._has(tenant, subscription_id):
            return await self._deeds[deed](self._broker, tenant, subscription_id, given)
        store, errand = self._broker.store, str(uuid.uuid4())
        body: JsonObject = {
            "tenant": tenant,
            "subscription": subscription_id,
            "deed": deed,
            "given": given,
            "at": self._broker.now(),
        }
        try:
            await store.put_document(ERRAND, "", errand, body)
            taken = await self._is_taken(errand)
        except BaseException:
            self._spawn(self._take_back(errand))
            raise
        if not taken and await store.delete_document(ERRAND, "", errand):
            if self._has(tenant, subscription_id):
                return await self._deeds[deed](self._broker, tenant, subscription_id, given)
            raise StoreUnavailable(
                f"no process has the deliveries of {subscription_id} at the moment: try again", instance=subscription_id
            )
        return await self._answer(errand)

    async def heed(self, tenant: str, subscription_id: str) -> None:
        """Have the process that has a subscription look at it, as it was changed through this one: then what comes after the
        answer to the client is judged by what it is now. Where nobody does it in time, it hears of it all the same, later.

        Not to be called with the lock of the subscription (`Dispatcher.changing`).
        """
        if self._has(tenant, subscription_id):  # it knows already
            return
        try:
            async with asyncio.timeout(HEED_SECONDS):
                await self.ask(tenant, subscription_id, HEED, {})
        except (NgsiLdError, TimeoutError) as error:
            detail = error.detail if isinstance(error, NgsiLdError) else "no answer in time"
            _LOG.info("a changed subscription takes effect later", extra={"id": subscription_id, "detail": detail})

    async def _take_back(self, errand: str) -> None:
        """Ask no longer. Where that cannot be done now, whoever finds the question later drops it."""
        with suppress(NgsiLdError):
            await self._broker.store.delete_document(ERRAND, "", errand)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)

    def _has(self, tenant: str, subscription_id: str) -> bool:
        return self._broker.dispatcher.has(tenant, subscription_id)

    async def _is_taken(self, errand: str) -> bool:
        """Whether somebody takes a question, before this process has the subscription itself, and in time."""
        store, loop = self._broker.store, asyncio.get_running_loop()
        begun = reminded = loop.time()
        pause, count = SHORTEST_PAUSE, 0
        while loop.time() < begun + UNTAKEN_SECONDS:
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
            document = await store.get_document(ERRAND, "", errand)
            if document is None:
                return True
            if self._has(document["tenant"], document["subscription"]):
                return False
            if loop.time() >= reminded + REMIND_SECONDS:
                reminded, count = loop.time(), count + 1
                again = {"again": count}
                await store.change_document(ERRAND, "", errand, lambda body, again=again: body | again)  # type: ignore[misc]
        return False

    async def _answer(self, errand: str) -> JsonObject:
        store, loop = self._broker.store, asyncio.get_running_loop()
        deadline, pause = loop.time() + UNANSWERED_SECONDS, SHORTEST_PAUSE
        while loop.time() < deadline:
            answer = await store.get_document(ANSWER, "", errand)
            if answer is not None:
                await store.delete_document(ANSWER, "", errand)
                if "error" in answer:
                    raise _error_of(answer["error"])
                result: JsonObject = answer["result"]
                return result
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
        raise StoreUnavailable("the process that has the deliveries of this subscription does not answer: try again")

    # --- the other side

    async def _asked(self, event: DocumentEvent) -> None:
        document = await self._broker.store.get_document(ERRAND, "", event.id)
        if document is not None:
            await self._take(event.id, document)

    async def _look_at_all(self) -> None:
        for _, errand, document in await self._broker.store.list_documents(ERRAND):
            await self._take(errand, document)
        for _, errand, answer in await self._broker.store.list_documents(ANSWER):
            if self._is_old(answer):
                await self._broker.store.delete_document(ANSWER, "", errand)

    def _is_old(self, document: JsonObject) -> bool:
        age = parse_instant(self._broker.now()) - parse_instant(document["at"])
        return age > timedelta(seconds=FORGET_SECONDS)

    async def _take(self, errand: str, document: JsonObject) -> None:
        """Do what is asked, if it is for this process to do it. Raises StoreUnavailable: then it is still asked."""
        if not (self._is_old(document) or self._has(document["tenant"], document["subscription"])):
            return
        if await self._broker.store.delete_document(ERRAND, "", errand) and not self._is_old(document):
            self._spawn(self._do(errand, document))

    async def _do(self, errand: str, document: JsonObject) -> None:
        answer: JsonObject = {"at": self._broker.now()}
        try:
            deed = self._deeds[document["deed"]]
            answer["result"] = await deed(self._broker, document["tenant"], document["subscription"], document["given"])
        except NgsiLdError as error:
            answer["error"] = _stored_error(error)
        except Exception as error:  # noqa: BLE001 - whoever asked is to hear that it went wrong
            _LOG.error("what another process asked for failed", exc_info=error)
            answer["error"] = _stored_error(InternalError(f"{document['deed']}: {type(error).__name__}"))
        try:
            await self._broker.store.put_document(ANSWER, "", errand, answer)
            answer.clear()  # it may be large, and there may be many
            await asyncio.sleep(3 * HEED_SECONDS if document["deed"] == HEED else FORGET_SECONDS)
            await self._broker.store.delete_document(ANSWER, "", errand)  # whoever asked may have died
        except NgsiLdError as error:
            _LOG.warning("an answer for another process cannot be stored or removed", extra={"detail": error.detail})


def _stored_error(error: NgsiLdError) -> JsonObject:
    known = next(each for each in type(error).__mro__ if getattr(errors, each.__name__, None) is each)
    return {"class": known.__name__, "detail": error.detail, "instance": error.instance}


def _error_of(stored: JsonObject) -> NgsiLdError:
    found = getattr(errors, stored["class"], InternalError)
    kind = found if isinstance(found, type) and issubclass(found, NgsiLdError) else InternalError
    return kind(stored["detail"], instance=stored["instance"])
