"""Writes the parts of `appserver/client/` that follow from the method table: `python -m codegen`.

Not part of the package that is installed. Three outputs: classes for what travels (`types/`), the methods by resource
(`methods.py`), and the blocking face (`blocking.py`) from the signatures of the asynchronous one. A test compares them
with what is committed.
"""
