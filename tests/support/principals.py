"""Requests as somebody else's than the local owner's, whatever the sign-in."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI

from polylogue.api import server
from polylogue.api.principal import LOCAL, Principal, principal


class Asker:
    """Who asks the API servers of a test; may change while they run. At first the local owner, who may do all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.principal = LOCAL
        create_app = server.create_app

        def created(*arguments: Any, **options: Any) -> FastAPI:
            app = create_app(*arguments, **options)
            app.dependency_overrides[principal] = lambda: self.principal
            return app

        monkeypatch.setattr(server, "create_app", created)

    def become(self, owner: str, *scopes: str) -> None:
        self.principal = Principal(owner, frozenset(scopes))
