"""Chat Completions in terms of the Responses API: requests one way, events the other. Pure: no I/O, no clock.

`request.py` translates a request, `answer.py` the events of its answer to deltas, and `completion.py` writes these as
chunks or folds them into one completion, so that both say the same.
"""
