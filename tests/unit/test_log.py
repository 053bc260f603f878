"""What a log record tells besides its words."""

from __future__ import annotations

import logging
from functools import partial
from types import MethodType
from typing import Any

import pytest

from etoro_sync.ws.log import log, plain_name_of


def test_a_record_names_the_file_that_had_something_to_say(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Formats with the file and the line would show the same place for all records."""
    log(logging.WARNING, "%s is %d", "it", 1)
    (record,) = caplog.records
    assert record.getMessage() == "it is 1"
    assert (record.filename, record.funcName) == (
        "test_log.py",
        "test_a_record_names_the_file_that_had_something_to_say",
    )


class _Haunted:
    def __getattribute__(self, name: str) -> Any:
        raise AssertionError("no user code may run")

    def __call__(self) -> None:
        pass

    def method(self) -> None:
        pass


def test_a_plain_name_runs_no_user_code() -> None:
    """The reader thread names a callback that hangs; its attributes may hang, too."""
    haunted = _Haunted()
    assert plain_name_of(haunted) == "_Haunted"
    assert plain_name_of(MethodType(_Haunted.method, haunted)) == "_Haunted.method"
    assert plain_name_of(MethodType(haunted, 1)) == "_Haunted"
    assert plain_name_of(partial(haunted, "secret")) == "partial"
    assert plain_name_of(print) == "builtin_function_or_method"
