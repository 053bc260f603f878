"""Whether a Redis can carry a feed, and whether the feed is well.

::

    examination  looks at one thing after the other
    steps        what each of these looks is, and what to do about it
    rights       what a user of Redis may do, found out without doing it
"""
