"""Forty complaints that users of similar libraries have, each answered by a guarantee and its test.

The number in ``test_complaint_NN_...`` is the complaint's; the docstring is what holds here. Each
test attacks the client as those users were hit; what the promises' tests show with one fault at a
time is shown here with many.
"""
