"""What a log record tells besides its words."""

from __future__ import annotations

import logging

import pytest

from etoro_sync.ws.log import log


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
