"""The fault matrix: every fault in every phase of a connection, against a client that is in use.

Read :mod:`scenarios` for what is tried and promised, :mod:`play` for how it is brought about,
:mod:`checks` for when a promise counts as broken. ``make faults`` runs all and writes
``docs/faults.md``; ``test_matrix.py`` runs the fast part.
"""
