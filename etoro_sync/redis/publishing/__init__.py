"""Writes what a stream brings; of several publishers, one has the right.

::

    publisher     Publisher, as users hold it
    work          what its thread does: stand by, or write
    intake        what it has read of the stream
    cold          connects the stream only while the publisher has the lease
    held          the orders that may still have to be written
    occurrences   which order events are new, and which have come before
    engine        what a publisher needs of Redis, or of another engine in its place
    redis_engine  Redis as that
    writer        writes batches
    lease         which of several publishers may write
    scripts       what runs inside Redis
"""
