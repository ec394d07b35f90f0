"""The README's promises: its example runs and says the numbers it says, its links lead somewhere."""

import contextlib
import io
import re
from pathlib import Path

import matplotlib as mpl
import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_runs_and_its_figures_are_those_of_the_text() -> None:
    example = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)[0]
    mpl.use("Agg")
    printed = io.StringIO()
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(printed):
        exec(compile(example, "README.md", "exec"), names)  # our own text
    run = names["run"]
    assert f"{run.summary()['requests']:,} requests" in TEXT  # type: ignore[attr-defined]
    assert "p99_s" in printed.getvalue()
    crowd = run.requests.query("1800 <= arrival_s < 2160")  # type: ignore[attr-defined]
    assert (crowd["status"] == "rejected").mean() == pytest.approx(1 / 3, abs=0.05)  # "one request in three"


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", TEXT))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link.partition("#")[0]).exists()


def test_the_table_lists_every_notebook() -> None:
    listed = set(re.findall(r"notebooks/(.+?\.ipynb)", TEXT))
    assert listed == {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
