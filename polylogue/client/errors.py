"""What can go wrong between the client and the API; each message is one sentence for a person."""

from __future__ import annotations


class ClientError(Exception):
    """The API could not be used; the message says why."""


class UnreachableError(ClientError):
    """Nobody answers at the API's address."""


class ConnectionLostError(ClientError):
    """A stream dropped and could not be resumed in time."""


class ApiError(ClientError):
    """The API refused; `status` is HTTP's, `code` the API's own slug."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
