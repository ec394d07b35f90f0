"""Signed packages: what a device checks before it runs what it was sent.

    >>> package = pack({"model.bin": b"weights"}, name="tagger", version="2", key="secret")
    >>> package.open("secret")
    {'model.bin': b'weights'}
    >>> package.changed({"model.bin": b"Weights"}).open("secret")
    Traceback (most recent call last):
    simlib.serving.packages.PackageRefusedError: tagger 2: model.bin is not what was signed: its SHA-256 differs.

The manifest lists the SHA-256 of each file; the signature is HMAC-SHA256 over the manifest, made and checked with one
key.  Real fleets sign with a private key and give devices the public one, so that no device can sign.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from simlib.parameters import ParameterError, Text, checked, config

Bytes = Annotated[bytes, Field(strict=True)]


class PackageRefusedError(Exception):
    """A package that a device does not take; its message says why."""


@config
class Package:
    """Files with a manifest and a signature; `pack` makes one.

    Parameters
    ----------
    name, version : str
    manifest : str
        JSON: name, version, and the SHA-256 of each file.
    signature : str
        HMAC-SHA256 of the manifest, in hexadecimal.
    content : mapping of file name to str
        The files, in base64.
    """

    name: Text
    version: Text
    manifest: Text
    signature: Text
    content: Mapping[Text, str]

    def open(self, key: str) -> dict[str, bytes]:
        """The files, if all is as it was signed with *key*.

        Raises
        ------
        PackageRefusedError
            If the signature is not that of the manifest, or a file not that of the manifest.
        """
        who = f"{self.name} {self.version}"
        if not hmac.compare_digest(_signature(self.manifest, key), self.signature):
            raise PackageRefusedError(f"{who}: the manifest was not signed with this key.")
        told = json.loads(self.manifest)
        if (told["name"], told["version"]) != (self.name, self.version) or set(told["files"]) != set(self.content):
            raise PackageRefusedError(f"{who}: name, version or files are not those of the manifest.")
        files = {name: base64.b64decode(text) for name, text in self.content.items()}
        for name, data in files.items():
            if not hmac.compare_digest(hashlib.sha256(data).hexdigest(), told["files"][name]):
                raise PackageRefusedError(f"{who}: {name} is not what was signed: its SHA-256 differs.")
        return files

    def why_refused(self, key: str) -> str:
        """Why a device with *key* refuses it; empty if it takes it."""
        try:
            self.open(key)
        except PackageRefusedError as error:
            return str(error)
        return ""

    def changed(self, files: Mapping[str, bytes]) -> "Package":
        """The same package with other bytes in these *files*, as somebody on the way would leave it."""
        return replace(self, content={**self.content, **_text(files)})

    @property
    def size_mb(self) -> float:
        """Bytes of the files [MB]."""
        return sum(len(base64.b64decode(text)) for text in self.content.values()) / 1e6


@checked
def pack(files: Mapping[Text, Bytes], *, name: Text, version: Text, key: Text) -> Package:
    """A signed package of *files* (name to bytes).

    Raises
    ------
    ParameterError
        If there are no files, or one is not bytes.
    """
    if not files:
        raise ParameterError("pack: files is empty: it should have at least one, such as {'model.bin': b'…'}.")
    hashes = {path: hashlib.sha256(data).hexdigest() for path, data in sorted(files.items())}
    manifest = json.dumps({"name": name, "version": version, "files": hashes}, sort_keys=True)
    return Package(name, version, manifest, _signature(manifest, key), _text(files))


def _text(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(data).decode() for name, data in files.items()}


def _signature(manifest: str, key: str) -> str:
    return hmac.new(key.encode(), manifest.encode(), hashlib.sha256).hexdigest()
