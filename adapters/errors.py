"""What an adapter can fail with, as a whole file or a whole run: each message is one sentence a user can act on."""


class AdapterError(Exception):
    """Base of all failures an adapter tells its user about."""


class Undecodable(AdapterError):
    """The input as a whole is nothing that the decoder reads: the only failure that a decoder may raise."""


class UnreadableFile(Undecodable):
    """The file is no table in any encoding or form that the adapters read."""


class UnknownLayout(Undecodable):
    """No profile fits the columns of the file; the message names the nearest profile and what differs."""


class InvalidProfile(AdapterError):
    """A profile file breaks a rule; the message names the profile, the column and the rule."""


class InvalidOptions(AdapterError):
    """The options of an adapter are not as it declares them; the message names the option."""


class InvalidFeeds(AdapterError):
    """The file that says which adapters run is at fault; the message names the place in it."""


class UnknownAdapter(AdapterError):
    """No adapter of that name is installed."""


class BrokerUnreachable(AdapterError):
    """The broker does not answer, or keeps saying that it is unavailable."""


class BrokerRefused(AdapterError):
    """The broker answered with an error that another attempt would not change.

    `of_body`: it is what was sent that it would not have, so it may have a part of it.
    """

    def __init__(self, message: str, *, of_body: bool = False) -> None:
        super().__init__(message)
        self.of_body = of_body


class OutcomeUnknown(BrokerRefused):
    """The broker took a request and cannot tell what came of it: look, and ask again under another key where it has to be."""
