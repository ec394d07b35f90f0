"""The model registry: groups, numbered versions that never change, who approved which, and what is live.

    >>> from simlib import mlops
    >>> registry = mlops.Registry()
    >>> registry.register("churn", artifact="s3://models/churn.tar.gz", metrics={"auc": 0.91}).version
    1
    >>> registry.deploy("churn", 1, endpoint="churn-live")
    Traceback (most recent call last):
    simlib.parameters.ParameterError: deploy: churn version 1 is PendingManualApproval; only Approved versions deploy.
    >>> registry.approve("churn", 1, by="Ana", comment="bias checked")
    >>> registry.deploy("churn", 1, endpoint="churn-live", by="Ana").version
    1

It lives in one SQLite file.  Each command is one transaction, so several programs may use it at once, and a sudden stop
leaves it as if the command had never been given; numbers count up and are never used again.  Triggers in the file keep
versions and history from being changed, whoever opens it.

That only Approved versions deploy is a rule of this registry, checked at the moment of deploying.  SageMaker itself
leaves it to the pipeline or the CI/CD template around it; the template also redeploys the latest Approved version when
a live one is rejected, and so does this registry.
"""

import hashlib
import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from simlib.parameters import Count, ParameterError, Text, checked, nearest

Approval = Literal["PendingManualApproval", "Approved", "Rejected"]
PATIENCE_S = 60.0
"""How long a command waits for another program's command to finish."""

_ALIAS = re.compile(r"[a-z][a-z0-9-]{0,126}[a-z0-9]")

_TABLES = """
CREATE TABLE IF NOT EXISTS groups (name TEXT PRIMARY KEY, last_version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS versions (
    group_name TEXT NOT NULL REFERENCES groups, version INTEGER NOT NULL, created_at TEXT NOT NULL,
    created_by TEXT NOT NULL, artifact TEXT NOT NULL, sha256 TEXT NOT NULL, metrics TEXT NOT NULL,
    training_parameters TEXT NOT NULL, containers TEXT NOT NULL, lineage TEXT NOT NULL, metadata TEXT NOT NULL,
    PRIMARY KEY (group_name, version));
CREATE TABLE IF NOT EXISTS history (
    id INTEGER PRIMARY KEY AUTOINCREMENT, group_name TEXT NOT NULL, version INTEGER NOT NULL, at TEXT NOT NULL,
    by TEXT NOT NULL, before TEXT, after TEXT NOT NULL, comment TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deployments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, group_name TEXT NOT NULL, version INTEGER NOT NULL,
    at TEXT NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS aliases (
    group_name TEXT NOT NULL, alias TEXT NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (group_name, alias));
CREATE INDEX IF NOT EXISTS history_of ON history (group_name, version, id);
CREATE INDEX IF NOT EXISTS live_on ON deployments (endpoint, id);
"""
_GUARDS = "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_{what.lower()} BEFORE {what} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, 'a registry never changes its {table}'); END;\n"
    for table in ("versions", "history", "deployments")
    for what in ("UPDATE", "DELETE")
)


@dataclass(frozen=True)
class ModelVersion:
    """One version as it was registered, with its status now."""

    group: str
    version: int
    status: str
    created_at: str
    created_by: str
    artifact: str
    sha256: str
    metrics: Mapping[str, Any]
    training_parameters: Mapping[str, Any]
    containers: Sequence[Any]
    lineage: Mapping[str, Any]
    metadata: Mapping[str, Any]
    aliases: tuple[str, ...] = ()


class RegistryEvent(NamedTuple):
    """What listeners are told: kind is registered, status, deployed or nothing to deploy."""

    kind: str
    group: str
    version: int
    at: str
    by: str
    detail: str


class Registry:
    """A registry in the SQLite file *path*, or in memory.

    Parameters
    ----------
    path : path, optional
        Made where it does not exist.
    aliases : "free" | "vertex"
        "free": a name points at one version, as in MLflow.  "vertex": also, one version is always `default`, the first
        one until another takes the name over, and names are of small letters, digits and hyphens.
    clock : function, optional
        Gives the time of a command that names none (default: this machine's).
    """

    @checked
    def __init__(
        self,
        path: str | Path | None = None,
        *,
        aliases: Literal["free", "vertex"] = "free",
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.alias_rule = aliases
        self._clock = clock or (lambda: datetime.now(UTC))
        self._listeners: list[Callable[[RegistryEvent], Any]] = []
        self._followed: dict[str, list[str]] = {}
        self._lock = threading.RLock()
        where = ":memory:" if self.path is None else str(self.path)
        try:
            self._db = sqlite3.connect(where, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA synchronous = FULL")
            with self._writing():
                for command in _TABLES.split(";\n"):
                    self._db.execute(command)
                for command in _GUARDS.splitlines():
                    self._db.execute(command)
        except sqlite3.Error as error:
            raise ParameterError(f"Registry: path={where!r} cannot be used as a registry: {error}.") from None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction: all of it, or nothing."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # --- registering ---

    @checked
    def register(
        self,
        group: Text,
        *,
        artifact: str | Path,
        sha256: str | None = None,
        metrics: Mapping[str, Any] | None = None,
        training_parameters: Mapping[str, Any] | None = None,
        containers: Sequence[Any] = (),
        lineage: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        status: Approval = "PendingManualApproval",
        by: str = "",
        at: datetime | None = None,
    ) -> ModelVersion:
        """Register the next version of *group*; the group is made with its first version.

        The hash is worked out where *artifact* is a file on this machine and none is given.

        Raises
        ------
        ParameterError
            If a value cannot be written down, or the status is unknown.
        """
        if sha256 is None:
            sha256 = _hash_of(artifact)
        blobs = [
            _json(name, value)
            for name, value in (
                ("metrics", metrics or {}),
                ("training_parameters", training_parameters or {}),
                ("containers", list(containers)),
                ("lineage", lineage or {}),
                ("metadata", metadata or {}),
            )
        ]
        moment = self._moment(at)
        with self._writing():
            self._db.execute(
                "INSERT INTO groups VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET last_version = last_version + 1",
                (group,),
            )
            (number,) = self._db.execute("SELECT last_version FROM groups WHERE name = ?", (group,)).fetchone()
            row = (group, number, moment, by, str(artifact), sha256, *blobs)
            self._db.execute(f"INSERT INTO versions VALUES ({', '.join('?' * len(row))})", row)
            self._write_history(group, number, moment, by, None, status, "registered")
            if self.alias_rule == "vertex" and number == 1:
                self._db.execute("INSERT INTO aliases VALUES (?, 'default', 1)", (group,))
        self._tell("registered", group, number, moment, by, status)
        if status == "Approved":
            self._follow(group, number, moment, by)
        return self.version(group, number)

    # --- reading ---

    def groups(self) -> list[str]:
        """The names of all groups."""
        return [name for (name,) in self._read("SELECT name FROM groups ORDER BY name")]

    @checked
    def version(self, group: Text, version: Count | Text) -> ModelVersion:
        """One version, by its number or by an alias.

        Raises
        ------
        ParameterError
            If there is no such group, version or alias.
        """
        number = self._number(group, version)
        row = self._read("SELECT * FROM versions WHERE group_name = ? AND version = ?", (group, number))[0]
        aliases = self._read("SELECT alias FROM aliases WHERE group_name = ? AND version = ? ORDER BY alias", row[:2])
        metrics, training_parameters, containers, lineage, metadata = (json.loads(text) for text in row[6:])
        created_at, created_by, artifact, sha256 = row[2:6]
        return ModelVersion(
            group, number, self.status(group, number), created_at, created_by, artifact, sha256, metrics,
            training_parameters, containers, lineage, metadata, tuple(alias for (alias,) in aliases),
        )  # fmt: skip

    @checked
    def versions(self, group: Text) -> pd.DataFrame:
        """The versions of a group, oldest first: status created_at created_by artifact sha256, and the metrics."""
        self._check_group(group)
        numbers = [n for (n,) in self._read("SELECT version FROM versions WHERE group_name = ? ORDER BY 1", (group,))]
        found = [self.version(group, number) for number in numbers]
        columns = ("status", "created_at", "created_by", "artifact", "sha256")
        rows = [{**{name: getattr(each, name) for name in columns}, **each.metrics} for each in found]
        return pd.DataFrame(rows, index=pd.Index(numbers, name="version"))

    @checked
    def status(self, group: Text, version: Count) -> str:
        """The approval status of a version now."""
        self._number(group, version)
        order = "SELECT after FROM history WHERE group_name = ? AND version = ? ORDER BY id DESC LIMIT 1"
        return str(self._read(order, (group, version))[0][0])

    @checked
    def history(self, group: Text, version: Count | None = None) -> pd.DataFrame:
        """Who changed which status, when and why; of one version, or of the whole group.  Nothing is ever removed."""
        self._check_group(group)
        rows = self._read(
            "SELECT version, at, by, before, after, comment FROM history WHERE group_name = ? "
            "AND (? IS NULL OR version = ?) ORDER BY id",
            (group, version, version),
        )
        return pd.DataFrame(rows, columns=["version", "at", "by", "before", "after", "comment"])

    @checked
    def latest_approved(self, group: Text) -> ModelVersion | None:
        """The Approved version that was registered last, or None."""
        self._check_group(group)
        number = self._latest_approved(group)
        return None if number is None else self.version(group, number)

    # --- approving ---

    @checked
    def approve(
        self, group: Text, version: Count, *, by: str = "", comment: str = "", at: datetime | None = None
    ) -> None:
        """Approve a version; endpoints that `follow` the group get it."""
        self._set_status(group, version, "Approved", by, comment, self._moment(at))

    @checked
    def reject(
        self, group: Text, version: Count, *, by: str = "", comment: str = "", at: datetime | None = None
    ) -> None:
        """Reject a version; where it is live, the latest Approved one is deployed instead."""
        self._set_status(group, version, "Rejected", by, comment, self._moment(at))

    @checked
    def reopen(
        self, group: Text, version: Count, *, by: str = "", comment: str = "", at: datetime | None = None
    ) -> None:
        """Back to PendingManualApproval; what is live stays live."""
        self._set_status(group, version, "PendingManualApproval", by, comment, self._moment(at))

    def _set_status(self, group: str, version: int, after: str, by: str, comment: str, moment: str) -> None:
        self._number(group, version)
        fallbacks: list[tuple[str, int | None]] = []
        with self._writing():
            before = self.status(group, version)
            if before == after:
                return
            self._write_history(group, version, moment, by, before, after, comment)
            if after == "Rejected":
                fallback = self._latest_approved(group)
                fallbacks = [(endpoint, fallback) for endpoint in self._where_live(group, version)]
                for endpoint, number in fallbacks:
                    if number is not None:
                        self._write_deployment(endpoint, group, number, moment, by, f"version {version} was rejected")
        self._tell("status", group, version, moment, by, f"{before} → {after}")
        for endpoint, number in fallbacks:
            kind = "deployed" if number is not None else "nothing to deploy"
            self._tell(kind, group, number or version, moment, by, f"{endpoint}: version {version} was rejected")
        if after == "Approved":
            self._follow(group, version, moment, by)

    # --- deploying ---

    @checked
    def deploy(
        self,
        group: Text,
        version: Count | Text | None = None,
        *,
        endpoint: Text,
        by: str = "",
        why: str = "",
        at: datetime | None = None,
    ) -> ModelVersion:
        """Put a version live on *endpoint*: the one named, by number or alias, or the latest Approved.

        Raises
        ------
        ParameterError
            If it is not Approved at this moment.
        """
        moment = self._moment(at)
        with self._writing():
            self._check_group(group)
            number = self._latest_approved(group) if version is None else self._number(group, version)
            if number is None:
                raise ParameterError(f"deploy: {group} has no Approved version; approve one first.")
            if (status := self.status(group, number)) != "Approved":
                raise ParameterError(f"deploy: {group} version {number} is {status}; only Approved versions deploy.")
            self._write_deployment(endpoint, group, number, moment, by, why)
        self._tell("deployed", group, number, moment, by, f"{endpoint}{': ' * bool(why)}{why}")
        return self.version(group, number)

    @checked
    def live(self, endpoint: Text) -> ModelVersion | None:
        """The version that is live on *endpoint*, or None."""
        rows = self._read(
            "SELECT group_name, version FROM deployments WHERE endpoint = ? ORDER BY id DESC LIMIT 1", (endpoint,)
        )
        return self.version(*rows[0]) if rows else None

    def deployments(self) -> pd.DataFrame:
        """Every deployment, oldest first: endpoint group version at by why."""
        rows = self._read("SELECT endpoint, group_name, version, at, by, why FROM deployments ORDER BY id")
        return pd.DataFrame(rows, columns=["endpoint", "group", "version", "at", "by", "why"])

    @checked
    def follow(self, group: Text, *, endpoint: Text) -> None:
        """From now on, deploy each version of *group* to *endpoint* when it is approved, as the CI/CD template does."""
        self._followed.setdefault(group, []).append(endpoint)

    def _follow(self, group: str, version: int, moment: str, by: str) -> None:
        for endpoint in self._followed.get(group, []):
            with self._writing():
                self._write_deployment(endpoint, group, version, moment, by, "approved")
            self._tell("deployed", group, version, moment, by, f"{endpoint}: approved")

    @checked
    def listen(self, listener: Callable[[RegistryEvent], Any]) -> None:
        """Call *listener* with every event from now on that this object causes: alarms and pipelines may react."""
        self._listeners.append(listener)

    # --- aliases ---

    @checked
    def set_alias(self, group: Text, alias: Text, version: Count) -> None:
        """Let *alias* point at *version*, and at no other of the group.

        Raises
        ------
        ParameterError
            If there is no such version, or the name breaks Vertex's rule.
        """
        if self.alias_rule == "vertex" and not _ALIAS.fullmatch(alias):
            raise ParameterError(
                f"set_alias: alias={alias!r} should be small letters, digits and hyphens, like 'champion'."
            )
        if alias.isdigit():
            raise ParameterError(f"set_alias: alias={alias!r} is not possible: a number is a version.")
        self._number(group, version)
        with self._writing():
            self._db.execute(
                "INSERT INTO aliases VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET version = excluded.version",
                (group, alias, version),
            )

    @checked
    def drop_alias(self, group: Text, alias: Text) -> None:
        """Remove *alias*.

        Raises
        ------
        ParameterError
            If there is no such alias, or it is Vertex's `default`, which one version always has.
        """
        self._number(group, alias)
        if self.alias_rule == "vertex" and alias == "default":
            raise ParameterError(
                "drop_alias: alias='default' is not possible: one version always has it; set it elsewhere."
            )
        with self._writing():
            self._db.execute("DELETE FROM aliases WHERE group_name = ? AND alias = ?", (group, alias))

    # --- small helpers ---

    def _read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def _write_history(
        self, group: str, version: int, moment: str, by: str, before: str | None, after: str, comment: str
    ) -> None:
        row = (group, version, moment, by, before, after, comment)
        self._db.execute(
            "INSERT INTO history (group_name, version, at, by, before, after, comment) VALUES (?, ?, ?, ?, ?, ?, ?)",
            row,
        )

    def _write_deployment(self, endpoint: str, group: str, version: int, moment: str, by: str, why: str) -> None:
        row = (endpoint, group, version, moment, by, why)
        self._db.execute(
            "INSERT INTO deployments (endpoint, group_name, version, at, by, why) VALUES (?, ?, ?, ?, ?, ?)", row
        )

    def _where_live(self, group: str, version: int) -> list[str]:
        live = self._read(
            "SELECT endpoint, group_name, version FROM deployments "
            "WHERE id IN (SELECT max(id) FROM deployments GROUP BY endpoint) ORDER BY endpoint"
        )
        return [endpoint for endpoint, *what in live if what == [group, version]]

    def _latest_approved(self, group: str) -> int | None:
        rows = self._read(
            "SELECT version FROM history WHERE group_name = ? AND after = 'Approved' AND id IN "
            "(SELECT max(id) FROM history WHERE group_name = ? GROUP BY version) ORDER BY version DESC LIMIT 1",
            (group, group),
        )
        return int(rows[0][0]) if rows else None

    def _check_group(self, group: str) -> None:
        if not self._read("SELECT 1 FROM groups WHERE name = ?", (group,)):
            known = self.groups()
            raise ParameterError(
                f"registry: there is no group {group!r}; " + (nearest(group, known) if known else "it is empty.")
            )

    def _number(self, group: str, version: int | str) -> int:
        """The number that *version*, a number or an alias, stands for."""
        self._check_group(group)
        if isinstance(version, str):
            rows = self._read("SELECT version FROM aliases WHERE group_name = ? AND alias = ?", (group, version))
            if not rows:
                raise ParameterError(f"registry: {group} has no alias {version!r}.")
            return int(rows[0][0])
        if not self._read("SELECT 1 FROM versions WHERE group_name = ? AND version = ?", (group, version)):
            (last,) = self._read("SELECT last_version FROM groups WHERE name = ?", (group,))[0]
            raise ParameterError(f"registry: {group} has no version {version}; its last one is {last}.")
        return version

    def _moment(self, at: datetime | None) -> str:
        return (at or self._clock()).astimezone(UTC).isoformat()

    def _tell(self, kind: str, group: str, version: int, moment: str, by: str, detail: str) -> None:
        for listener in self._listeners:
            listener(RegistryEvent(kind, group, version, moment, by, detail))


def _json(name: str, value: Any) -> str:
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"register: {name}={value!r} cannot be written as JSON: {error}.") from None


def _hash_of(artifact: str | Path) -> str:
    try:
        with Path(artifact).open("rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest()
    except OSError:  # an address elsewhere, or no such file here
        return ""
