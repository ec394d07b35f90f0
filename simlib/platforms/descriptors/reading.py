"""The fields of one object: what is taken is checked, and what is never taken can be told."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from simlib.parameters import ParameterError, shortly

T = TypeVar("T")
_PLACEHOLDER = re.compile(
    r"\{\{.*?\}\}|\{%.*?%\}|\$\{.*?\}|\$\(.*?\)|<[^<>]+>|\[\[.*?\]\]|^\$\w+$|^\{[\w.]+\}$|^@\w+@$|^%\w+%$|^__\w+__$|^#\{.*\}#$"
)
_WHOLE = re.compile(
    r"\{\{-?(.*?)-?\}\}|\$\{(.*?)\}|\$\((.*?)\)|<%?([^<>]*?)%?>|\[\[(.*?)\]\]|\$(\w+)|\{([\w.]+)\}|@(\w+)@|%(\w+)%|__(\w+)__|#\{(.*)\}#"
)
"""A value that is one placeholder and nothing else; the group is what stands in it."""
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]+")
"""A value that documentation writes as MACHINE_TYPE: filled in where it is given, and else what it says."""
_DEFAULT = re.compile(r"default\s*\(?\s*(?:\"([^\"]*)\"|'([^']*)'|([\w.-]+))")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class Unset(str):
    """A value that the file leaves open, with the words that say why; any use of it as a value is an error."""

    why: str

    def __new__(cls, text: str, why: str) -> "Unset":
        """*text* as the file has it."""
        made = super().__new__(cls, text)
        made.why = why
        return made


class Notes:
    """What reading came across: fields that change nothing here, what was assumed, and what a platform refuses."""

    def __init__(self) -> None:
        self.unread: list[str] = []
        self.assumed: list[str] = []

    def assume(self, words: str) -> None:
        """Note it once."""
        if words not in self.assumed:
            self.assumed.append(words)


class Fields:
    """The fields of one object, by name.

    Each reader raises a `ParameterError` that names the field: missing, of a wrong kind, or left open by a template.
    """

    def __init__(self, found: Any, where: str, notes: Notes, given: Mapping[str, Any]) -> None:
        if isinstance(found, Unset):
            raise ParameterError(f"read_deployment: {where} is left open: {found.why}; an object is needed.")
        if not isinstance(found, Mapping):
            raise ParameterError(f"read_deployment: {where}={shortly(found)} should be an object with fields.")
        self.found, self.where, self.notes, self.given = found, where, notes, given
        self.taken = set[str]()

    def __contains__(self, key: str) -> bool:
        return self.found.get(key) is not None

    def name(self, key: str) -> str:
        """The path of a field, as the file spells it."""
        return spelled(self.where, next((each for each in self.found if each == key), key))

    def text(self, key: str, default: str | None = None) -> str:
        """A text."""
        return str(self._take(key, default, (str, int, float), "a text"))

    def choice(self, key: str, known: Mapping[str, Any], default: str | None = None) -> Any:
        """What one of the *known* words stands for, whatever its case."""
        word = self.text(key, default)
        for name, meaning in known.items():
            if name.lower() == word.lower():
                return meaning
        raise ParameterError(
            f"read_deployment: {self.name(key)}={word!r} is not simulated; it should be one of {', '.join(known)}."
        )

    def number(self, key: str, default: float | None = None) -> float:
        """A number; text that is one counts."""
        value = self._take(key, default, (int, float), "a number")
        if abs(value) > 1e15 or not math.isfinite(value):
            raise ParameterError(f"read_deployment: {self.name(key)}={shortly(value)} should be a number.")
        return float(value)

    def whole(self, key: str, default: int | None = None) -> int:
        """A whole number; 2.0 and "2" count."""
        value = self._take(key, default, (int, float), "a whole number")
        if abs(value) > 1e15 or not math.isfinite(value) or value != int(value):
            raise ParameterError(f"read_deployment: {self.name(key)}={value!r} should be a whole number.")
        return int(value)

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false; the words count."""
        self.taken.add(key)
        value = self.found.get(key)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
        if str(value).strip().lower() in words:
            return words[str(value).strip().lower()]
        raise ParameterError(f"read_deployment: {self.name(key)}={shortly(value)} should be true or false.")

    def _take(self, key: str, default: Any, kind: Any, wanted: str) -> Any:
        self.taken.add(key)
        value = self.found.get(key)
        value = default if value is None else value
        if value is None:
            raise ParameterError(f"read_deployment: {self.name(key)} is missing; it should be {wanted}.")
        value = self.filled_in(key, value, wanted)
        if isinstance(value, str) and str not in kind and _NUMBER.fullmatch(value.strip()):
            value = float(value)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ParameterError(f"read_deployment: {self.name(key)}={shortly(value)} should be {wanted}.")
        return value

    def filled_in(self, key: str, value: Any, wanted: str) -> Any:
        """The value itself, or what `parameters=` gives for the placeholder that it is."""
        if isinstance(value, Unset):
            raise ParameterError(f"read_deployment: {self.name(key)} is left open: {value.why}; {wanted} is needed.")
        if isinstance(value, str) and value in self.given and _VARIABLE.fullmatch(value):
            return self.given[value]
        if not isinstance(value, str) or not _PLACEHOLDER.search(value):
            return value
        whole = _WHOLE.fullmatch(value.strip())
        if whole is not None:
            name, _, rest = next(part for part in whole.groups() if part is not None).strip().partition("|")
            name, _, usual = name.partition(":-")  # a shell's default
            name, default = name.strip("{ }").split(".")[-1], _DEFAULT.search(rest)
            if name in self.given:
                return self.given[name]
            if usual or default:
                return _plain(usual or next(part for part in default.groups() if part is not None))  # type: ignore[union-attr]
        raise ParameterError(
            f"read_deployment: {self.name(key)}={shortly(value)} is a template's placeholder; put {wanted} there."
        )

    def inside(self, key: str) -> "Fields | None":
        """The object under *key*, None where there is none."""
        self.taken.add(key)
        found = self.found.get(key)
        if found is None:
            return None
        return Fields(self.filled_in(key, found, "an object"), self.name(key), self.notes, self.given)

    def several(self, key: str) -> "list[Fields]":
        """The objects in the list under *key*."""
        self.taken.add(key)
        found = self.filled_in(key, self.found.get(key) or [], "a list")
        if isinstance(found, Mapping):
            found = [found]  # a list of one, without its brackets
        if not isinstance(found, list | tuple):
            raise ParameterError(f"read_deployment: {self.name(key)}={shortly(found)} should be a list.")
        return [Fields(each, f"{self.name(key)}[{k}]", self.notes, self.given) for k, each in enumerate(found)]

    def ignoring(self, *keys: str) -> None:
        """Fields that change nothing here are known; every other one that was not taken is told."""
        self.notes.unread += [self.name(str(key)) for key in self.found if key not in self.taken | set(keys)]


def _plain(text: str) -> Any:
    return float(text) if _NUMBER.fullmatch(text) else text


class Renamed(str):
    """A field's name as simlib looks for it, with the file's own spelling."""

    own: str

    def __new__(cls, name: str, own: str) -> "Renamed":
        """*name*, which the file spells *own*."""
        made = super().__new__(cls, name)
        made.own = own
        return made


def own(key: str) -> str:
    """A field's name as the file spells it: where a name is a value, such as that of a deployment in its traffic."""
    return str(getattr(key, "own", key))


def spelled(where: str, key: str) -> str:
    """The path of a field under *where*, as the file spells it."""
    return f"{where}.{own(key)}" if where else own(key)


def built(where: str, make: Callable[[], T]) -> T:
    """What *make* makes; where it cannot be, the sentence names the place in the file."""
    try:
        return make()
    except ParameterError as error:
        raise ParameterError(f"read_deployment: {where or 'source'}: {error}") from None


def deep(found: Any, change: Callable[[str], str]) -> Any:
    """The same object with every field renamed."""
    if isinstance(found, Mapping):
        return {
            Renamed(change(key), key) if isinstance(key, str) else key: deep(value, change)
            for key, value in found.items()
        }
    if isinstance(found, list):
        return [deep(each, change) for each in found]
    return found


def snake(name: str) -> str:
    """machineType → machine_type; max-replica-count → max_replica_count."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.lstrip("-")).replace("-", "_").lower()


def pascal(name: str) -> str:
    """ACK's initialInstanceCount → the API's InitialInstanceCount; resourceID → ResourceId, s3URI → S3Uri.

    ACK writes initialisms in capitals, also inside a name: numberOfCPUCoresRequired.
    """
    if name == "roleARN":
        return "RoleARN"
    return re.sub(r"(ID|ARN|URL|URI|CPU|KMS)(?=[A-Z][a-z]|$)", lambda end: end[0].title(), name[:1].upper() + name[1:])
