"""Names of instruments: from symbols to ids and back, by eToro's REST API.

::

    instruments = Instruments()                      # keys from ETORO_API_KEY, ETORO_USER_KEY
    bitcoin = instruments.find("BTC")                # 100000, by its exact symbol
    instruments.name(100000)                         # "Bitcoin"
    instruments.search("apple")                      # candidates, to choose from

It is loaded when it is first used, so that programs without it do not wait for it.
"""

from .address import DEFAULT_REST_URL
from .instrument import Instrument
from .instruments import Instruments

__all__ = ["DEFAULT_REST_URL", "Instrument", "Instruments"]
