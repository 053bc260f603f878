"""Which cell of a notebook runs, and how it is given something to show."""

from dataclasses import dataclass
from typing import Any

__all__ = ["Cell", "has_front_end", "publish"]


@dataclass(frozen=True)
class Cell:
    """One run of a cell.

    :param id: the notebook's id of the cell, which stays the same when it runs again.
    :param run: the id of the request that runs it.
    """

    id: str
    run: str

    @classmethod
    def current(cls) -> "Cell | None":
        """Return the cell that runs; None outside of a notebook, or if it does not tell."""
        try:
            from IPython import get_ipython

            parent = get_ipython().kernel.get_parent()
            return cls(parent["metadata"]["cellId"], parent["header"]["msg_id"])
        except (ImportError, AttributeError, KeyError, TypeError):
            return None


def has_front_end() -> bool:
    """Whether this is a notebook's kernel; not a terminal, which cannot replace what it printed."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell: Any = get_ipython
    return getattr(shell(), "kernel", None) is not None


def publish(data: dict[str, Any], display_id: str | None = None, update: bool = False) -> None:
    """Show *data* in the cell that runs, or where *display_id* was shown. Any thread.

    :param data: by MIME type.
    :param display_id: names the output.
    :param update: replace that output.
    """
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import publish_display_data

    if InteractiveShell.initialized():
        transient = {"display_id": display_id} if display_id else {}
        show: Any = publish_display_data  # which has no types
        show(data, transient=transient, update=update)
