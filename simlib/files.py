"""Files that are whole or not there: written beside their place and put there in one step."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def in_one_step(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of *path* when the block ends well and is gone when it does not.

    Whoever reads, and whatever kills the writer, finds the old content or the new one.

    Raises
    ------
    OSError
        If it cannot be written; then *path* is as it was.
    """
    draft = path.with_name(path.name + ".part")
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def why(error: OSError) -> str:
    """What the system says, for the end of a sentence."""
    return error.strerror or str(error)
