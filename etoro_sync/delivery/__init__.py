"""Brings events to callbacks and queues.

Nothing in here knows prices, or where events come from.
"""
