"""Where the course's notebooks lie: in the repository, or in an installed simlib."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
IN_THE_WHEEL = Path(__file__).resolve().parent / "handed_out"  # `make dist` puts them there, and constraints.txt


def course_folder() -> Path:
    """The folder with `notebooks/` and `exercises/`: the repository's, or what the wheel brought along."""
    return REPOSITORY if (REPOSITORY / "notebooks").is_dir() else IN_THE_WHEEL


def work_folder() -> Path:
    """Where the learner's copy goes: beside the notebooks in a repository, otherwise into the current folder."""
    return (REPOSITORY if course_folder() == REPOSITORY else Path.cwd()) / "work"
