"""Several connections behind one face: for more topics than eToro allows on one."""

from .client import WsFleet
from .stats import FleetConnection

__all__ = ["FleetConnection", "WsFleet"]
