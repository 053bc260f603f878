"""From events to users: callbacks and queues.

Nothing in here knows a price, or where events come from.
"""
