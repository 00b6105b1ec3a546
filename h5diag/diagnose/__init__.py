"""From a case folder to a verdict: measurements become findings, findings are weighed."""

from h5diag.diagnose.case import Board, Case, Dump, KnownImage, Text
from h5diag.diagnose.case_folder import load_case
from h5diag.diagnose.diagnosis import BoardDiagnosis, Diagnosis
from h5diag.diagnose.facts import BoardFacts, Measured
from h5diag.diagnose.judge import diagnose
from h5diag.diagnose.measure import measure

__all__ = [
    "Board", "BoardDiagnosis", "BoardFacts", "Case", "Diagnosis", "Dump", "KnownImage", "Measured", "Text", "diagnose",
    "load_case", "measure",
]
