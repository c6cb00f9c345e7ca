"""`python -m demo`, from the project's directory; `.ci/demo` runs it in an environment of its own."""

from __future__ import annotations

import sys

from demo.show import run_demo

if __name__ == "__main__":
    sys.exit(run_demo())
