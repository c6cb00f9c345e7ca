"""`python -m appserver`."""

from appserver.cli import main

main()
