"""References: how a step says "what that other step made", in the form SageMaker's own definitions use.

`{"Get": "Steps.prepare.…"}` is what step prepare made, `{"Get": "Parameters.Rate"}` a parameter of the pipeline,
`{"Get": "Inputs.item"}` what the loop or group around the step hands in, `{"Get": "Execution.…"}` the execution itself.
`Std:Join` joins texts, `Std:JsonGet` reads a value out of a property file.  Most edges of real pipelines exist only as
such references, inside the arguments.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from simlib.parameters import ParameterError, Text, checked, config

Reference = dict[str, Any]
Look = Callable[[str], Any]

UNKNOWN: Any = type("Unknown", (), {"__repr__": lambda self: "unknown", "__bool__": lambda self: False})()
"""What a reference gives whose value nobody knows: it is made by code that is not simulated."""


@config
class Parameter:
    """A value that is given when an execution starts.

    `type` and `enum_values` are checked at the start; without a `default` the value must be given.  List and Struct are
    KFP's; SageMaker has the other four.
    """

    name: Text
    default: Any = None
    type: Literal["String", "Integer", "Float", "Boolean", "List", "Struct"] | None = None
    enum_values: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if self.default is not None and (problem := self.problem(self.default)):
            raise ValueError(f"default of {self.name!r}: {problem}")

    @property
    def kind(self) -> str:
        """The declared type, or the one of the default."""
        of = {bool: "Boolean", int: "Integer", float: "Float", list: "List", tuple: "List", dict: "Struct"}
        return self.type or of.get(type(self.default), "String")

    def problem(self, value: object) -> str:
        """Why *value* cannot be given, or nothing."""
        python: Any = {
            "String": str, "Integer": int, "Float": (int, float), "Boolean": bool,
            "List": (list, tuple), "Struct": Mapping,
        }[self.kind]  # fmt: skip
        if not isinstance(value, python) or (isinstance(value, bool) and self.kind != "Boolean"):
            return f"{value!r} is not of type {self.kind}."
        if self.enum_values and value not in self.enum_values:
            return f"{value!r} should be one of {', '.join(map(repr, self.enum_values))}."
        return ""


# --- making references ----------------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """*value* with each `Parameter` inside as a reference to it, and tuples as lists."""
    if isinstance(value, Parameter):
        return {"Get": f"Parameters.{value.name}"}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


@checked
def item(name: Text = "item") -> Reference:
    """The item of the loop around the step."""
    return {"Get": f"Inputs.{name}"}


@checked
def join(on: str, values: Sequence[Any]) -> Reference:
    """The texts of *values*, some of them references, joined by *on*."""
    return {"Std:Join": {"On": on, "Values": plain(values)}}


@checked
def json_get(step: Any, property_file: Text, path: Text) -> Reference:
    """The value at *path* (like "metrics.auc") in a property file that *step* (a step or its name) wrote."""
    name = step if isinstance(step, str) else step.name
    return {"Std:JsonGet": {"PropertyFile": {"Get": f"Steps.{name}.PropertyFiles.{property_file}"}, "Path": path}}


# --- conditions -----------------------------------------------------------------------------------------------------

_SIGNS = {
    "==": "Equals",
    "!=": "NotEquals",
    ">": "GreaterThan",
    ">=": "GreaterThanOrEqualTo",
    "<": "LessThan",
    "<=": "LessThanOrEqualTo",
}
_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "NotEquals": operator.ne,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}


@checked
def compare(left: Any, sign: Literal["==", "!=", ">", ">=", "<", "<=", "in"], right: Any) -> Reference:
    """A condition: *left* *sign* *right*, where either side may be a reference.

    >>> compare(json_get("evaluate", "evaluation", "auc"), ">=", 0.8)["Type"]
    'GreaterThanOrEqualTo'
    """
    if sign == "in":
        return {"Type": "In", "QueryValue": plain(left), "Values": plain(list(right))}
    return {"Type": _SIGNS[sign], "LeftValue": plain(left), "RightValue": plain(right)}


@checked
def any_of(conditions: Sequence[Any]) -> Reference:
    """True if one of *conditions* is."""
    return {"Type": "Or", "Conditions": list(conditions)}


@checked
def negated(condition: Any) -> Reference:
    """True if *condition* is not."""
    return {"Type": "Not", "Expression": condition}


def is_known(condition: Any) -> bool:
    """Whether *condition* has the shape of one of SageMaker's conditions; people also write others into their files."""
    if not isinstance(condition, Mapping):
        return False
    kind = condition.get("Type")
    if kind == "Or":
        return isinstance(condition.get("Conditions"), list) and all(map(is_known, condition["Conditions"]))
    if kind == "Not":
        return is_known(condition.get("Expression") or condition.get("Condition"))
    if kind in ("In", "NotIn"):
        return isinstance(condition.get("Values", condition.get("In")), list)
    return kind in _TESTS and {"LeftValue", "RightValue"} <= condition.keys()


def holds(condition: Mapping[str, Any], value_of: Callable[[Any], Any]) -> Any:
    """Whether *condition* is true: True, False, or `UNKNOWN` where nobody knows a value or what is meant.

    Raises
    ------
    ParameterError
        If the condition compares what cannot be compared.
    """
    if not is_known(condition):
        return UNKNOWN
    kind = condition["Type"]
    if kind == "Or":
        return _either([holds(each, value_of) for each in condition["Conditions"]])
    if kind == "Not":
        inner = holds(condition.get("Expression") or condition["Condition"], value_of)
        return inner if inner is UNKNOWN else not inner
    if kind in ("In", "NotIn"):
        found = value_of(condition.get("QueryValue", condition.get("Value")))
        among = [value_of(each) for each in condition.get("Values", condition.get("In", ()))]
        if found is UNKNOWN or UNKNOWN in among:
            return UNKNOWN
        return (found in among) == (kind == "In")
    left, right = value_of(condition["LeftValue"]), value_of(condition["RightValue"])
    if left is UNKNOWN or right is UNKNOWN:
        return UNKNOWN
    try:
        return bool(_TESTS[kind](left, right))
    except TypeError:
        raise ParameterError(f"{left!r} and {right!r} cannot be compared by {kind}.") from None


def _either(known: list[Any]) -> Any:
    if any(each is True for each in known):
        return True
    return UNKNOWN if UNKNOWN in known else False


def all_hold(conditions: Sequence[Any], value_of: Callable[[Any], Any]) -> Any:
    """Whether every condition is true; one that is false decides, known or not what the others are."""
    known = [holds(each, value_of) for each in conditions]
    if any(each is False for each in known):
        return False
    return UNKNOWN if any(each is UNKNOWN for each in known) else True


# --- KFP's conditions, written in a small part of CEL ---------------------------------------------------------------

_CEL_CALLS: dict[str, Callable[[Any], Any]] = {"int": int, "double": float, "string": str, "bool": bool}
_CEL_SIGNS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.In: lambda a, b: a in b,
}  # fmt: skip


def cel_holds(text: str, look: Look) -> Any:
    """Whether the CEL expression *text* is true; `UNKNOWN` if it needs an unknown value or a part of CEL not read here.

    >>> cel_holds("int(inputs.parameter_values['n']) > 5 && true", {"n": "7"}.get)
    True
    """
    python = text.replace("&&", " and ").replace("||", " or ")
    python = re.sub(r"\btrue\b", "True", re.sub(r"\bfalse\b", "False", re.sub(r"!(?!=)", " not ", python)))
    try:
        return _cel(ast.parse(" ".join(python.split()), mode="eval").body, look)
    except (SyntaxError, ValueError, TypeError, LookupError):
        return UNKNOWN


def _cel(node: ast.expr, look: Look) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.List):
        return [_cel(each, look) for each in node.elts]
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "inputs.parameter_values":
        found = look(_cel(node.slice, look))
        if found is UNKNOWN:
            raise LookupError
        return found
    if isinstance(node, ast.BoolOp):
        known = [_cel(each, look) for each in node.values]
        return all(known) if isinstance(node.op, ast.And) else any(known)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return not _cel(node.operand, look)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        left, right = _cel(node.left, look), _cel(node.comparators[0], look)
        return _CEL_SIGNS[type(node.ops[0])](left, right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _CEL_CALLS[node.func.id](_cel(node.args[0], look))
    raise SyntaxError


# --- reading references -----------------------------------------------------------------------------------------------


def gets(value: Any) -> Iterator[str]:
    """Every target of a `Get` anywhere inside *value*, as `plain` gives it: "Steps.prepare.…", "Parameters.Rate", …"""
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "Get" and isinstance(each, str):
                yield each
            else:
                yield from gets(each)
    elif isinstance(value, list):
        for each in value:
            yield from gets(each)


def head(target: str) -> tuple[str, str, str]:
    """The parts of a target: "Steps.prepare.Outputs['a']" is ("Steps", "prepare", "Outputs['a']").

    A step's name holds no dot; a bracket may follow it at once.
    """
    root, _, rest = target.partition(".")
    name, path = re.match(r"([^.\[]*)\.?(.*)", rest, flags=re.DOTALL).groups()  # type: ignore[union-attr]
    return root, name, path


def filled(value: Any, look: Look) -> Any:
    """*value* with each reference replaced by what *look* finds for its target."""
    if isinstance(value, dict):
        if len(value) == 1:
            if isinstance(value.get("Get"), str):
                return look(value["Get"])
            if "Std:Join" in value:
                return _joined(value["Std:Join"], look)
            if isinstance(value.get("Std:JsonGet"), dict):
                return _json_value(value["Std:JsonGet"], look)
        return {key: filled(each, look) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, look) for each in value]
    return value


def _joined(wanted: Any, look: Look) -> str:
    values = wanted.get("Values") if isinstance(wanted, dict) else wanted
    parts = values if isinstance(values, list) else [] if values is None else [values]
    on = wanted.get("On", "") if isinstance(wanted, dict) else ""
    return str(on).join(str(filled(each, look)) for each in parts)


def _json_value(wanted: Mapping[str, Any], look: Look) -> Any:
    target = next(gets(wanted), None)
    if target is None:
        return UNKNOWN
    root, name, path = head(target)
    file = (
        path if path.startswith("PropertyFiles") else "PropertyFiles.report"
    )  # by its address: any of the step's files
    return look(f"{root}.{name}.{file}.{wanted.get('Path', '')}")


def at_path(value: Any, path: str) -> Any:
    """What lies at *path* ("a.b[0]['c']", "$.a.b") in nested dicts and lists; `UNKNOWN` if nothing does.

    In a list of named parts, such as a step's Outputs, a text in brackets is the name.
    """
    for part in re.findall(r"[^.\[\]'\"]+", path.removeprefix("$")):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, list) and (named := [each for each in value if _is_called(each, part)]):
            value = named[0]
        else:
            return UNKNOWN
    return value


def _is_called(part: Any, name: str) -> bool:
    return isinstance(part, Mapping) and name in (part.get("OutputName"), part.get("InputName"), part.get("Name"))
