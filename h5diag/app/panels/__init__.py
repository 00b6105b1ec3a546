"""JupyterLab controls: thin views on traitlets models. ipywidgets and anywidget live here alone."""

from h5diag.app.panels.evidence import EvidencePanel
from h5diag.app.panels.hexview import HexView
from h5diag.app.panels.investigation import Investigation
from h5diag.app.panels.locate import LocatePanel
from h5diag.app.panels.options import OptionsPanel
from h5diag.app.panels.slots import SlotMap

__all__ = ["EvidencePanel", "HexView", "Investigation", "LocatePanel", "OptionsPanel", "SlotMap"]
