"""Errors that a user can act on: each says what happened, where, and what to do next."""


class TextvaeError(Exception):
    """The work failed (a full disk, a loss that is not finite): the command exits 1."""

    exit_code = 1


class RequestError(TextvaeError, ValueError):
    """The request cannot be met as made (no such file, unknown recipe, empty corpus): the command exits 2."""

    exit_code = 2


class CorruptFolder(TextvaeError):
    """A model folder or a checkpoint is damaged: a missing, truncated or altered file."""


class Diverged(TextvaeError):
    """The loss or its gradient stopped being finite."""
