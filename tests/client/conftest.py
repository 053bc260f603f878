"""The fixtures of the promises' tests serve here too."""

from tests.promises.conftest import client, simulator

__all__ = ["client", "simulator"]
