"""Makes data frames of pandas and polars from the columns of a table."""

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from .columns import Table
from .errors import EToroError
from .extras import advice

__all__ = ["MISFITS", "load", "misfit", "to_pandas", "to_polars"]

#: How many rows become a part of a frame at once: their objects need some twenty times its memory.
_BATCH = 1 << 16
_NO_TIME = -(1 << 63)
#: What libraries of data frames raise for values that do not fit.
MISFITS = (OverflowError, TypeError, ValueError)


def load(module: str, extra: str, purpose: str) -> Any:
    """Import a module of an extra.

    :param module: such as ``"pandas"``.
    :param extra: what installs it.
    :param purpose: begins the error.
    :raises EToroError: when it is not installed, with what to install.
    """
    try:
        return import_module(module)
    except ImportError as exc:
        raise EToroError(
            f"{purpose} needs {module.partition('.')[0]}, which is not installed: "
            f"{advice(module.partition('.')[0], extra)}"
        ) from exc


def to_pandas(table: Table, items: Iterable[Any]) -> Any:
    """Return a data frame of pandas.

    :raises EToroError: when it is not installed, or a value does not fit its column.
    """
    pandas = load("pandas", "pandas", "A data frame")
    parts: dict[str, list[Any]] = {column.name: [] for column in table.columns}
    makers = _pandas_makers(pandas)
    try:
        for batch in table.batches(items, _BATCH):
            for column in table.columns:
                parts[column.name].append(makers[column.kind](batch[column.name]))
    except EToroError:  # of the recording; some are ValueErrors, too
        raise
    except MISFITS as exc:
        raise misfit(table, exc) from exc
    frame = {}
    for column in table.columns:
        some = parts[column.name] or [makers[column.kind]([])]
        whole = pandas.concat(some, ignore_index=True)
        if column.kind in ("key", "word"):
            whole = whole.astype("category")
        frame[column.name] = whole
    return pandas.DataFrame(frame)


def _pandas_makers(pandas: Any) -> dict[str, Any]:
    """Return a function for each kind of column, which makes a series of a list."""
    numpy = import_module("numpy")  # comes with pandas

    def times(values: list[int | None]) -> Any:
        whole = numpy.array([_NO_TIME if v is None else v for v in values], "int64")
        return pandas.Series(whole.view("M8[ns]")).dt.tz_localize("UTC")

    return {
        "time": times,
        "int": lambda values: pandas.Series(values, dtype="Int64"),
        "whole": lambda values: pandas.Series(values, dtype="int64"),
        "key": lambda values: pandas.Series(values, dtype="Int64" if None in values else "int64"),
        "number": lambda values: pandas.Series(numpy.array(values, "float64")),
        "flag": lambda values: pandas.Series(values, dtype="boolean"),
        "word": lambda values: pandas.Series(values, dtype="object"),
        "text": lambda values: pandas.Series(values, dtype="object"),
    }


def to_polars(table: Table, items: Iterable[Any]) -> Any:
    """Return a data frame of polars.

    :raises EToroError: when it is not installed, or a value does not fit its column.
    """
    polars = load("polars", "polars", "A data frame of polars")
    types = {
        "time": polars.Int64,
        "int": polars.Int64,
        "whole": polars.Int64,
        "key": polars.Int64,
        "number": polars.Float64,
        "flag": polars.Boolean,
        "word": polars.String,
        "text": polars.String,
    }
    schema = {column.name: types[column.kind] for column in table.columns}
    try:
        parts = [
            polars.DataFrame(batch, schema=schema) for batch in table.batches(items, _BATCH)
        ] or [polars.DataFrame(schema=schema)]
    except EToroError:  # of the recording; some are ValueErrors, too
        raise
    except MISFITS as exc:
        raise misfit(table, exc) from exc
    casts = []
    for column in table.columns:
        whole = polars.col(column.name)
        if column.kind == "time":
            casts.append(whole.cast(polars.Datetime("ns")).dt.replace_time_zone("UTC"))
        elif column.kind in ("key", "word"):
            casts.append(whole.cast(polars.String).cast(polars.Categorical))
    return polars.concat(parts).with_columns(casts)


def misfit(table: Table, exc: Exception) -> EToroError:
    """Return the error for a value that is not of its column's type, such as a number too large."""
    return EToroError(
        f"A value among the {table.name} does not fit its column: {exc}. "
        "CSV and JSON lines take it."
    )
