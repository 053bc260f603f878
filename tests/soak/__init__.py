"""The soak: one client for a long time, in everyday use, and a server that goes wrong at random.

``make soak``. What a test of seconds cannot see shows here: memory that grows, a descriptor lost at
each reconnect, a count that drifts, a topic that stays away.
"""
