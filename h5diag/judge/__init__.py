"""From a case to a verdict: measurements become findings, findings are weighed."""

from h5diag.judge.diagnosis import BoardDiagnosis, Diagnosis
from h5diag.judge.facts import BoardFacts, Measured
from h5diag.judge.judge import diagnose
from h5diag.judge.measure import measure

__all__ = ["BoardDiagnosis", "BoardFacts", "Diagnosis", "Measured", "diagnose", "measure"]
