"""Reads a feed as a stream.

::

    client       RedisClient, as users hold it
    reading      what its thread does: the state of a moment, then what follows it
    moment       how far a feed is, and its last rates
    entries      what stands in the streams, in the order in which it was written
    generations  the publisher's connections, as a subscriber counts them
    freshness    whether prices are fresh, and since when messages may be missing
    line         one connection, which another thread may cut
"""
