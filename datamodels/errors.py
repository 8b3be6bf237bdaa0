"""What can be wrong with the vocabulary's own files and with what is asked of it."""


class InvalidModel(ValueError):
    """A model file breaks a rule; the message names the model, the attribute and the rule."""


class InvalidBundle(ValueError):
    """A folder of schemas cannot be used; the message names the file and what is wrong with it."""
