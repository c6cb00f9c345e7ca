"""auth.json in the home directory: plain JSON, readable by its owner only, shared with other programs.

What happens to the file is the business of `document` and `atomic_file`; what stands in it is that of `auth_json`.
"""

from __future__ import annotations

import os

from appserver.auth.stores.atomic_file import PrivateFile
from appserver.auth.stores.codec import Plain
from appserver.auth.stores.document import DocumentStore

FILE_NAME = "auth.json"


class FileStore(DocumentStore):
    """Keeps the credential in auth.json."""

    def __init__(self, home: str) -> None:
        super().__init__(PrivateFile(os.path.join(home, FILE_NAME)), Plain())
