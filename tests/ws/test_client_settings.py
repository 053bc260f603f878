"""A client that gets its options by keyword."""

from __future__ import annotations

from typing import Any

import pytest

from etoro_sync import EToroValidationError, WsClient, WsClientOptions
from etoro_sync.ws.core import core_of
from tests.support.clients import API_KEY, USER_KEY
from tests.trust.exposure import assert_hidden, exposed_by


def test_options_can_be_passed_by_keyword(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment has the others, as where nothing is passed."""
    monkeypatch.setenv("ETORO_USER_KEY", "user-key-of-the-environment")
    options = core_of(WsClient(api_key=API_KEY, reconnect_delay=2.5)).options
    assert (options.api_key, options.reconnect_delay) == (API_KEY, 2.5)
    assert options.user_key == "user-key-of-the-environment"


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"api_keyy": API_KEY}, "api_keyy"),
        ({"api_key": f" {API_KEY}"}, "api_key"),
        ({"user_key": USER_KEY, "reconnect_delay": -1}, "reconnect_delay"),
        ({"options": WsClientOptions(), "api_key": API_KEY}, "api_key"),
    ],
)
def test_a_mistake_is_named_and_shows_no_key(settings: dict[str, Any], field: str) -> None:
    """Neither in its words nor in the variables of its frames."""
    with pytest.raises(EToroValidationError) as caught:
        WsClient(**settings)
    assert caught.value.field == field
    assert_hidden(exposed_by(caught.value))
