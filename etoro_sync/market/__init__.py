"""Turns the texts of frames into merged prices and other events.

It uses no socket and no thread, and does not know where texts come from. Events go to a publisher.
"""
