"""The fixtures of the promises' tests serve here too."""

from tests.promises.conftest import client, leap, simulator

__all__ = ["client", "leap", "simulator"]
