"""What stands in Redis, and how it is read and written. Pure.

::

    keys        the names
    rows        rates as JSON, and back
    order_rows  likewise order events, and when two are the same
    event_rows  likewise what a connection goes through
    parsing     what these share: strict JSON, checks of types, one kind of error
"""
