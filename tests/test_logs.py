"""What a log record has besides its message."""

from __future__ import annotations

import logging
import logging.config
import warnings
from collections.abc import Iterator
from functools import partial
from types import MethodType
from typing import Any

import pytest

from etoro_sync import logs as module
from etoro_sync.logs import log, plain_name_of


def test_a_record_names_the_file_that_had_something_to_say(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Formats with the file and the line would show the same place for all records."""
    log(logging.WARNING, "%s is %d", "it", 1)
    (record,) = caplog.records
    assert record.getMessage() == "it is 1"
    assert (record.filename, record.funcName) == (
        "test_logs.py",
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


@pytest.fixture
def disabled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the program configure its log as most do, after the library was imported."""
    monkeypatch.setattr(module, "_warned", [])
    logger = logging.getLogger("etoro_sync")
    before = (logger.disabled, logger.propagate)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    others = {n: x for n, x in logging.root.manager.loggerDict.items() if n != "etoro_sync"}
    were = {n: x.disabled for n, x in others.items() if isinstance(x, logging.Logger)}
    logging.config.dictConfig({"version": 1})
    yield
    logger.disabled, logger.propagate = before
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, was in were.items():
        logging.getLogger(name).disabled = was


@pytest.mark.usefixtures("disabled")
def test_a_disabled_logger_is_warned_of_once() -> None:
    """``dictConfig`` does so with loggers that exist; what they have to say would just vanish."""
    log(logging.INFO, "all is well")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        log(logging.ERROR, "The callback %s raised", "show")
        log(logging.ERROR, "The client ended")
    (warning,) = caught
    assert warning.category is RuntimeWarning
    assert "disable_existing_loggers is False" in str(warning.message)
    assert str(warning.message).endswith("beginning with: The callback show raised")
    assert warning.filename == __file__


@pytest.mark.usefixtures("disabled")
def test_a_warning_that_is_an_error_ends_no_thread() -> None:
    """As with ``python -W error``: whoever logs is in the midst of something else."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log(logging.ERROR, "The client ended")


def test_a_log_that_is_read_brings_no_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does one whose level the program has chosen."""
    monkeypatch.setattr(module, "_warned", [])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        log(logging.ERROR, "read")
        caplog.set_level(logging.CRITICAL, "etoro_sync")
        log(logging.ERROR, "not wanted")
    assert caught == []
    assert caplog.messages == ["read"]
