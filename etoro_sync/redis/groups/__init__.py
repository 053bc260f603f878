"""Order events for several programs that share the work: each is handled at least once.

::

    order_group    OrderGroup, as users hold it
    records        what users pass in, checked, and what they get
    consumer       finds the next order to be handled, and acknowledges it
    retries        repeats what Redis could not do, until it can
    commands       what is asked of Redis, each in one round trip
    order_scripts  what runs inside Redis
    trimming       removes old orders, and warns of many that are not acknowledged
"""
