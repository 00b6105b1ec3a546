"""The evidence of one investigation, as a value; opened once."""

from h5diag.case.case import Case, CaseBoard, DumpFile, KnownImage, Text
from h5diag.case.folder import load_case

__all__ = ["Case", "CaseBoard", "DumpFile", "KnownImage", "Text", "load_case"]
