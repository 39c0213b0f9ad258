"""Where the package keeps what is its reader's: exercises that were passed, pictures that were downloaded."""

import os
from pathlib import Path
from typing import Literal

__all__ = ["user_folder"]


def user_folder(kind: Literal["cache", "data"]) -> Path:
    """The package's folder for this user.

    Raises:
        OSError: it is nowhere, since the user has no home folder; the remedy is named.
    """
    import platformdirs  # here, since a machine that only trains may do without it

    where = {"cache": platformdirs.user_cache_path, "data": platformdirs.user_data_path}[kind]
    try:
        folder = where("slow-copy")
    except RuntimeError:  # older versions of platformdirs return a relative path instead, which begins with ~
        folder = Path()
    if not folder.is_absolute():
        raise OSError(
            f"this user has no home folder, and HOME is {os.environ.get('HOME')!r}; set the environment variable HOME "
            f"or XDG_{kind.upper()}_HOME to the full path of a folder that may be written"
        )
    return folder
