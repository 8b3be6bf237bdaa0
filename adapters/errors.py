"""What an adapter can fail with, as a whole file or a whole run: each message is one sentence a user can act on."""


class AdapterError(Exception):
    """Base of all failures an adapter tells its user about."""


class UnreadableFile(AdapterError):
    """The file is no table in any encoding or form that the adapters read."""


class UnknownLayout(AdapterError):
    """No profile fits the columns of the file; the message names the nearest profile and what differs."""


class InvalidProfile(AdapterError):
    """A profile file breaks a rule; the message names the profile, the column and the rule."""


class BrokerUnreachable(AdapterError):
    """The broker does not answer, or keeps saying that it is unavailable."""


class BrokerRefused(AdapterError):
    """The broker answered with an error that another attempt would not change."""
