"""Train and ask models with SQL, as in BigQuery ML: tables in memory, SQLite for the SQL, scikit-learn for the model.

    >>> import pandas as pd
    >>> loans = pd.DataFrame({"income": [1.0, 2.0, 3.0, 4.0] * 20, "repaid": [0, 0, 1, 1] * 20})
    >>> house = Warehouse(loans=loans)
    >>> made = house.query('''
    ...     CREATE MODEL risk OPTIONS(model_type='logistic_reg', input_label_cols=['repaid'])
    ...     AS SELECT income, repaid FROM loans''')
    >>> int(house.query("SELECT predicted_repaid FROM ML.PREDICT(MODEL risk, (SELECT 4.0 AS income))").iloc[0, 0])
    1

A statement is billed by the bytes of the columns it reads, over the whole table: neither WHERE nor LIMIT makes it
cheaper, and fewer columns do.  `jobs` is that bill.
"""

import re
import sqlite3
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from simlib.parameters import ParameterError, Text, checked, nearest
from simlib.pricing import price

BYTES_OF_A_NUMBER = 8
"""INT64 and FLOAT64 count 8 bytes, a text 2 and its UTF-8 bytes (BigQuery docs, recalled)."""

LEAST_BYTES = 10_000_000
"""Each table a statement reads counts as 10 MB at least (BigQuery pricing, recalled)."""

MODEL_TYPES = ("logistic_reg", "linear_reg")
_TIB = 2**40
_CREATE = re.compile(
    r"^\s*CREATE\s+(?:OR\s+REPLACE\s+)?MODEL\s+`?(?P<name>[\w.]+)`?\s+OPTIONS\s*\((?P<options>.*?)\)\s*AS\s+(?P<select>SELECT\b.*)$",
    re.IGNORECASE | re.DOTALL,
)
_OPTION = re.compile(r"(\w+)\s*=\s*(\[[^\]]*\]|'[^']*'|\"[^\"]*\"|[^,\s]+)")
_FUNCTION = re.compile(r"ML\.(?P<what>PREDICT|EVALUATE)\s*\(\s*MODEL\s+`?(?P<name>[\w.]+)`?\s*,?\s*", re.IGNORECASE)

Kind = Literal["query", "create model"]


class _Model(NamedTuple):
    pipeline: Any
    label: str
    columns: tuple[str, ...]
    kind: str
    select: str


class Warehouse:
    """Tables and models that are asked in SQL.

    Parameters
    ----------
    tables : DataFrame
        By the name they have in SQL.

    Statements: `CREATE [OR REPLACE] MODEL name OPTIONS(model_type='logistic_reg' | 'linear_reg',
    input_label_cols=['…']) AS SELECT …`; `ML.PREDICT(MODEL name, (SELECT …))` and `ML.EVALUATE(MODEL name)`, also with
    a SELECT, wherever a table may stand; and whatever SQLite understands.  Logistic regression is of two or more
    classes, with numbers standardised and texts as one column a value, as BigQuery ML does on its own.
    """

    def __init__(self, **tables: pd.DataFrame) -> None:
        self._db = sqlite3.connect(":memory:")
        self._bytes: dict[str, dict[str, int]] = {}
        self._models: dict[str, _Model] = {}
        self._jobs: list[tuple[Kind, str, float, float]] = []
        for name, frame in tables.items():
            if not isinstance(frame, pd.DataFrame) or not len(frame.columns):
                raise ParameterError(f"Warehouse: {name}={type(frame).__name__} should be a DataFrame with columns.")
            frame.to_sql(name, self._db, index=False)
            self._bytes[name] = {str(column): _size(frame[column]) for column in frame.columns}

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models that were made."""
        return tuple(self._models)

    @property
    def jobs(self) -> pd.DataFrame:
        """The bill: a row a statement, with kind, text, mb (processed, as billed), usd, and note on the price."""
        frame = pd.DataFrame(self._jobs, columns=["kind", "text", "mb", "usd"])
        return frame.assign(note=[_price(kind).note for kind in frame["kind"]])

    @checked
    def query(self, sql: Text) -> pd.DataFrame:
        """What the statement gives; of CREATE MODEL, one row that says what was trained.

        Raises
        ------
        ParameterError
            If a model, a column or the SQL is not right: the sentence says which.
        """
        read: set[tuple[str, str]] = set()
        create = _CREATE.match(sql)
        found = self._create(create, read) if create else self._select(sql, read)
        kind: Kind = "create model" if create else "query"
        billed = _billed_bytes(read, self._bytes)
        self._jobs.append((kind, " ".join(sql.split())[:70], billed / 1e6, billed / _TIB * _price(kind).usd))
        return found

    # --- statements ---

    def _select(self, sql: str, read: set[tuple[str, str]]) -> pd.DataFrame:
        """The rows, after each ML function has been replaced by a table of what it gives."""
        text, number = sql.strip().rstrip(";"), 0
        while match := _FUNCTION.search(text):
            inner, end = _inside(text, match.end())
            result = self._ask(match["what"].upper(), match["name"], inner, read)
            result.to_sql(f"_ml_{number}", self._db, index=False, if_exists="replace")
            text, number = f"{text[: match.start()]}_ml_{number}{text[end:]}", number + 1
        return self._rows(text, read)

    def _rows(self, sql: str, read: set[tuple[str, str]]) -> pd.DataFrame:
        def note(action: int, table: str | None, column: str | None, *_: object) -> int:
            if action == sqlite3.SQLITE_READ and table in self._bytes and column:
                read.add((str(table), column))
            return sqlite3.SQLITE_OK

        self._db.set_authorizer(note)
        try:
            cursor = self._db.execute(sql)
            names = [each[0] for each in cursor.description or ()]
            return pd.DataFrame(cursor.fetchall(), columns=names)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise ParameterError(f"query: {error}.") from None
        finally:
            self._db.set_authorizer(None)

    def _create(self, match: re.Match[str], read: set[tuple[str, str]]) -> pd.DataFrame:
        options = {name.lower(): value.strip("'\"") for name, value in _OPTION.findall(match["options"])}
        kind, labels = options.get("model_type", ""), re.findall(r"\w+", options.get("input_label_cols", "[label]"))
        if kind.lower() not in MODEL_TYPES:
            raise ParameterError(f"query: model_type={kind!r} should be one of {', '.join(MODEL_TYPES)}.")
        select = match["select"].strip().rstrip(";")
        frame = self._rows(select, read).dropna()
        if len(labels) != 1 or labels[0] not in frame.columns:
            raise ParameterError(f"query: input_label_cols={labels} should name one of {', '.join(frame.columns)}.")
        if len(frame) < 2 or len(frame.columns) < 2:
            raise ParameterError("query: the SELECT should give a label, another column, and two rows at least.")
        label = labels[0]
        columns = tuple(name for name in frame.columns if name != label)
        pipeline = _untrained(kind.lower(), frame[list(columns)])
        try:
            pipeline.fit(frame[list(columns)], frame[label])
        except ValueError as error:
            raise ParameterError(f"query: {label!r} cannot be learned: {str(error).splitlines()[0]}") from None
        self._models[match["name"]] = _Model(pipeline, label, columns, kind.lower(), select)
        return pd.DataFrame({"model": [match["name"]], "model_type": [kind.lower()], "rows": [len(frame)]})

    def _ask(self, what: str, name: str, inner: str, read: set[tuple[str, str]]) -> pd.DataFrame:
        if name not in self._models:
            raise ParameterError(f"query: there is no model {name!r}; {nearest(name, self.models)}")
        model = self._models[name]
        frame = self._rows(inner or model.select, read)
        for column in (*model.columns, *((model.label,) if what == "EVALUATE" else ())):
            if column not in frame.columns:
                raise ParameterError(f"query: ML.{what} of {name} needs a column {column!r}.")
        return _evaluated(model, frame.dropna()) if what == "EVALUATE" else _predicted(model, frame)


# --- models ----------------------------------------------------------------------------------------------------------


def _untrained(kind: str, frame: pd.DataFrame) -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    texts = [name for name in frame.columns if frame[name].dtype.kind not in "iufb"]
    numbers = [name for name in frame.columns if name not in texts]
    columns = make_column_transformer(
        (StandardScaler(), numbers), (OneHotEncoder(handle_unknown="ignore"), texts), verbose_feature_names_out=False
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1000) if kind == "logistic_reg" else LinearRegression())


def _predicted(model: _Model, frame: pd.DataFrame) -> pd.DataFrame:
    told = frame.copy()
    asked = frame[list(model.columns)]
    told.insert(0, f"predicted_{model.label}", model.pipeline.predict(asked) if len(asked) else [])
    if model.kind == "logistic_reg" and len(asked):
        told.insert(1, "probability", model.pipeline.predict_proba(asked).max(axis=1))
    return told


def _evaluated(model: _Model, frame: pd.DataFrame) -> pd.DataFrame:
    from sklearn import metrics

    truth, asked = frame[model.label], frame[list(model.columns)]
    guess = model.pipeline.predict(asked)
    if model.kind == "linear_reg":
        figures = {
            "mean_absolute_error": metrics.mean_absolute_error(truth, guess),
            "mean_squared_error": metrics.mean_squared_error(truth, guess),
            "r2_score": metrics.r2_score(truth, guess),
        }
    else:
        shares = model.pipeline.predict_proba(asked)
        figures = {
            "accuracy": metrics.accuracy_score(truth, guess),
            "precision": metrics.precision_score(truth, guess, average="macro", zero_division=0),
            "recall": metrics.recall_score(truth, guess, average="macro", zero_division=0),
            "log_loss": metrics.log_loss(truth, shares, labels=list(model.pipeline.classes_)),
        }
        if shares.shape[1] == 2 and truth.nunique() == 2:
            figures["roc_auc"] = metrics.roc_auc_score(truth, shares[:, 1])
    return pd.DataFrame({name: [float(value)] for name, value in figures.items()})


# --- the bill --------------------------------------------------------------------------------------------------------


def _size(column: pd.Series) -> int:
    if column.dtype.kind in "iufb":
        return BYTES_OF_A_NUMBER * len(column)
    return int(np.sum([2 + len(str(value).encode()) for value in column.dropna()], dtype=int))


def _billed_bytes(read: set[tuple[str, str]], sizes: dict[str, dict[str, int]]) -> int:
    """The bytes of the columns that were read, each table as 10 MB at least."""
    tables = {table for table, _ in read}
    return sum(max(LEAST_BYTES, sum(sizes[t].get(c, 0) for t, c in read if t == table)) for table in tables)


def _price(kind: str) -> Any:
    sku = "bqml-create-model" if kind == "create model" else "on-demand-query"
    return price("bigquery", sku, region="us", platform="gcp")


def _inside(text: str, begin: int) -> tuple[str, int]:
    """What stands before the parenthesis that closes the function, without its own, and where the text goes on."""
    depth = 1
    for place in range(begin, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            inner = text[begin:place].strip()
            bare = inner[1:-1].strip() if inner.startswith("(") and inner.endswith(")") else inner
            if bare and not re.match(r"(?i)select\b", bare):
                bare = f"SELECT * FROM {re.sub(r'(?i)^table ', '', bare)}"
            return bare, place + 1
    raise ParameterError("query: an ML function has no closing parenthesis.")
