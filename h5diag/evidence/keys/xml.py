"""The XML files from which STM32TrustedPackageCreator makes .obk files and signed images."""

from __future__ import annotations

import re
import xml.etree.ElementTree as Tree
from dataclasses import dataclass

from h5diag.errors import InputError
from h5diag.limits import NUMBER_DIGITS


@dataclass(frozen=True, slots=True)
class ProvisioningXml:
    """What an XML would make.

    Parameters
    ----------
    for_file
        The output file as the XML names it.
    makes
        ``obk`` or ``image``.
    destination, encrypts, permission
        Of an .obk; None when not given.
    keys
        ``(name of the entry, path)`` of every key file.
    values
        ``(name of the entry, number)`` of every other entry with a numeric value.
    options
        ``(imgtool option, value)`` of an image.
    linked
        The XML that an image takes its keys from.
    """

    for_file: str
    makes: str
    destination: int | None = None
    encrypts: bool | None = None
    permission: int | None = None
    keys: tuple[tuple[str, str], ...] = ()
    values: tuple[tuple[str, int], ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    linked: str = ""

    def value(self, name: str) -> int | None:
        """Return the number of the entry called `name`, None without it."""
        return next((v for n, v in self.values if n == name), None)

    def option(self, name: str) -> str | None:
        """Return the value of an imgtool option, empty for a flag, None without it."""
        return next((v for n, v in self.options if n == name), None)


def looks_like_xml(data: bytes) -> bool:
    """Tell whether a file is one of these XML files."""
    begins = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")
    return begins and (b"<Obdata" in data[:4096] or b"<McubootFormat" in data[:4096])


def parse_provisioning_xml(data: bytes, *, source: str = "xml") -> ProvisioningXml:
    """Return what the XML describes.

    Raises
    ------
    InputError
        When it is no XML of this kind. A document type, which could nest entities without end, is refused.
    """
    if b"<!" in re.sub(rb"<!--.*?-->", b"", data, flags=re.S):
        raise InputError("declares a document type, which these files never do", source=source)
    try:
        root = Tree.fromstring(data)
    except (Tree.ParseError, ValueError, LookupError) as error:
        line = getattr(error, "position", (0,))[0]
        raise InputError("is no well-formed XML", source=source, place=f"line {line}" if line else "") from None
    body = root if root.tag in ("Obdata", "McubootFormat") else root.find("Obdata")
    if body is None:
        body = root.find("McubootFormat")
    if body is None:
        raise InputError("has neither an Obdata nor a McubootFormat element", source=source)
    keys, values, options = [], [], []
    for entry in body:
        name, value = _text(entry, "Name"), _text(entry, "Value") or ""
        command = _text(entry, "Command")
        if entry.tag == "Param" and command and _text(entry, "Enable") != "0":
            options.append((command, value or _text(entry, "Default") or ""))
        elif entry.tag == "File" and name and value:
            keys.append((name, value))
        elif name and (number := _number(value)) is not None:
            values.append((name, number))
    output = body.find("Output")
    encrypts = _number(_text(body, "Info/DoEncryption"))
    return ProvisioningXml(
        (_text(output, "Value") if output is not None else "") or "",
        "obk" if body.tag == "Obdata" else "image",
        _number(_text(body, "Info/ObDestAddress")),
        None if encrypts is None else bool(encrypts),
        _number(_text(body, "Permission/Value")),
        tuple(keys),
        tuple(values),
        tuple(options),
        _text(body, "GlobalParam/LinkedXML") or "",
    )


def _text(element: Tree.Element, path: str) -> str | None:
    found = element.findtext(path)
    return found.strip() if found is not None else None


def _number(text: str | None) -> int | None:
    if not text or len(text) > NUMBER_DIGITS:
        return None
    try:
        return int(text, 0)
    except ValueError:
        return None
