"""The evidence of one investigation, as a value; opened once."""

from h5diag.case.case import Board, Case, Dump, KnownImage, Text
from h5diag.case.folder import load_case

__all__ = ["Board", "Case", "Dump", "KnownImage", "Text", "load_case"]
