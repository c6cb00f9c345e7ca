"""`python -m appserver`, without the modules that the current directory may hold.

An application starts the server in the folder that a person has open. Python looks there first for whatever is
imported, so an `anyio.py` in that folder would run. `python -P -m appserver` is safer still: without -P, Python itself
has imported a few modules, and this package, before it comes here.
"""

import os
import sys

if not sys.flags.safe_path:
    del sys.path[0]  # the current directory or, where this file was named by its path, the package's own

# Our two packages lie side by side, and may not be installed. Nothing else is to come from there.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import appserver  # noqa: F401
import protocol  # noqa: F401

del sys.path[0]

from appserver.cli import main  # noqa: E402

main()
