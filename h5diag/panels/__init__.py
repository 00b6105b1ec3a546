"""JupyterLab controls: thin views on traitlets models. ipywidgets and anywidget live here alone."""

from h5diag.panels.evidence import EvidencePanel
from h5diag.panels.hexview import HexView
from h5diag.panels.investigation import Investigation
from h5diag.panels.locate import LocatePanel
from h5diag.panels.options import OptionsPanel
from h5diag.panels.slots import SlotMap

__all__ = ["EvidencePanel", "HexView", "Investigation", "LocatePanel", "OptionsPanel", "SlotMap"]
