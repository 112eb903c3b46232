"""A small typed client of the API: submit a prompt, follow its frames across dropped connections, cancel, download."""

from polylogue.client.answers import Answer, Comparison, Medium
from polylogue.client.errors import ApiError, ClientError, ConnectionLostError, UnreachableError
from polylogue.client.session import PolylogueClient, Received

__all__ = [
    "Answer",
    "ApiError",
    "ClientError",
    "Comparison",
    "ConnectionLostError",
    "Medium",
    "PolylogueClient",
    "Received",
    "UnreachableError",
]
