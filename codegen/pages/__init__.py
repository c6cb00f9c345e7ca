"""Builds the documentation as a site, from docs/, the method table and the public docstrings.

What is read from the project is written as Markdown first, then handed to the site generator. None of it is installed.
"""
