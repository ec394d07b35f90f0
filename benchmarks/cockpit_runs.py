"""Lives every policy of the cockpit explorer, and keeps what comes of each: simlib/widgets/cockpit_runs.json.

    python benchmarks/cockpit_runs.py

A month of the last mile takes seconds, too long for a slider; so the explorer reads runs that were made beforehand, by
`lastmile.compute` and by nothing else.  Make them anew when anything changes what `lastmile.compute` gives:
tests/test_widgets.py makes one anew and compares.  It goes on where it was stopped.
"""

import json
from pathlib import Path

from simlib import lastmile
from simlib.widgets.month import FIGURES, REPLICATIONS, SEED, key, policies

KEPT = Path(__file__).parents[1] / "simlib" / "widgets" / "cockpit_runs.json"


def main() -> None:
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    for k in range(REPLICATIONS):
        for policy in policies():
            if len(kept.get(key(policy), [])) > k:
                continue
            found = lastmile.compute(policy, lastmile.team(), seed=SEED, replication=k)
            run = {name: float(found.figures[name]) for name in FIGURES}
            run["loss_usd_by_day"] = [round(float(each), 6) for each in found.timeline["loss_usd"]]
            kept.setdefault(key(policy), []).append(run)
            KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
            print(key(policy), k, flush=True)


if __name__ == "__main__":
    main()
