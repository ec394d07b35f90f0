"""The user guide: every page's examples run, one after the other, and say what the page says they show.

A page of `>>>` examples is a doctest, and runs with the tests of its room.
"""

import re
from pathlib import Path

import matplotlib as mpl
import pytest

GUIDE = Path(__file__).parents[1] / "docs" / "guide"
TEXTS = {page.stem: page.read_text(encoding="utf-8") for page in sorted(GUIDE.glob("*.md"))}
PAGES = [name for name, text in TEXTS.items() if "```python\n" in text and ">>> " not in text]
SAID = {  # what an example must print; a page not named here need only run
    "adviser": "callers are offline 5 % of the time > 1 % errors allowed",
    "asynchronous": "exactly 0.1667",
    "artifacts": "would not lie inside its folder",
    "batch": "of 500 files have no output",
    "edge": "2.8 times for the user",
    "experiments": "Leave out the first",
    "monitoring": "other truth: estimated",
    "multi-model": "Che's approximation 0.4",
    "platforms": "ServerlessConfig.MemorySizeInMB – 8192 MB of memory > 6144 MB serverless limit",
    "platform-choice": "SageMaker if ",
    "results": "p99 off by",
    "rollout": "rolled back after 6 min: alarm ModelLatency > 0.4",
    "serverless": "exactly 0.2231",
    "serving": "theory: one line 59.6 ms, four lines 320.0 ms",
    "workload": "dispersion of a minute",
}


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(
        r"```python\n(.*?)```", (GUIDE / f"{page}.md").read_text(encoding="utf-8"), flags=re.DOTALL
    ):
        exec(block, names)
    plt.close("all")
    assert SAID.get(page, "") in capsys.readouterr().out


def test_what_must_be_said_is_on_a_page() -> None:
    assert set(SAID) <= set(PAGES)
