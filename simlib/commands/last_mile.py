"""`simlib last-mile`: sixty days of fifty million requests under a policy, with the story, the bill and a report."""

import argparse
import json
from pathlib import Path
from typing import Any

from simlib.commands import Subparsers, tables
from simlib.commands.arguments import count, positive, whole
from simlib.parameters import ParameterError

EXAMPLES = """examples:
  simlib last-mile
  simlib last-mile --policy policy.json --fault LabelOutage --fault CapacityShortage --report report.html
  simlib last-mile --days 30 --rate 1 --seed 3

A policy is a JSON file of the fields of lastmile.Policy that differ from its defaults, such as
  {"monitor_every_hours": 12, "window_hours": 96, "canary_percent": 5}
"""
FAULTS = ("BadVersion", "BrokenFeature", "CapacityShortage", "FlashCrowd", "LabelOutage", "SlowApproval")


def add_parser(subparsers: Subparsers) -> None:
    """Describe the subcommand."""
    parser = subparsers.add_parser(
        "last-mile",
        help="run the whole loop for sixty days: traffic, monitors, retraining, approval, rollout, money",
        description="Live through sixty days of fifty million requests with a policy: print the story, the ledger and "
        "the figures; write the operations report and the picture.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--policy", type=Path, metavar="FILE.json", help="the policy (default: lastmile.Policy())")
    parser.add_argument("--fault", action="append", choices=FAULTS, default=[], help="a fault to switch on; repeatable")
    parser.add_argument("--days", type=count, default=60, metavar="N", help="how long (60)")
    parser.add_argument("--rate", type=positive, default=9.65, metavar="R", help="mean requests a second (9.65)")
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="same seed, same bytes (0)")
    parser.add_argument("--report", type=Path, metavar="FILE.html", help="write the operations report")
    parser.add_argument("--force", action="store_true", help="let --report replace a file that exists")


def run(args: argparse.Namespace) -> int:
    """Run, and print."""
    from simlib import lastmile
    from simlib.lastmile.report import page

    if args.report is not None:
        tables.check_target("--report", args.report, force=args.force)
    policy = lastmile.policy_from({} if args.policy is None else _read(args.policy))
    faults = [getattr(lastmile, name)() for name in dict.fromkeys(args.fault)]
    outcome = lastmile.run(policy, lastmile.full(days=args.days, mean_rate=args.rate), faults=faults, seed=args.seed)
    print(outcome.words())
    print()
    print(_ledger(outcome))
    print()
    print("\n".join(f"{name:<22} {value:>16,.6g}" for name, value in outcome.figures.items()))
    print()
    print("Every limit was kept." if outcome.keeps else f"Broken: {'; '.join(outcome.broken)}.")
    if args.report is not None:
        tables.write(args.report, page(outcome).encode("utf-8"))
        print(f"Written: {args.report}.")
    return 0


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ParameterError(f"--policy {path} is not JSON: {error}.") from None


def _ledger(outcome: Any) -> str:
    lines = [f"{'line':<66}{'quantity':>14} {'unit':<14}{'subtotal $':>12}"]
    for line in outcome.ledger.lines:
        what = f"{line.category}: {line.item}"
        lines.append(f"{what:<66}{line.quantity:>14,.5g} {line.unit:<14}{line.subtotal:>12,.2f}")
    lines.append(f"{'total':<95}{outcome.usd:>12,.2f}")
    return "\n".join(lines)
