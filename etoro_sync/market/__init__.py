"""From texts to merged prices, handed to a publisher.

Pure but for the publisher: no socket, no thread. Nothing in here knows where texts come from.
"""
