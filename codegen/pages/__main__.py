"""`python -m codegen.pages DIR`: build the site in a directory, and fail on any warning."""

import sys
from pathlib import Path

from codegen.pages.build import build

sys.exit(build(Path(sys.argv[1])))
