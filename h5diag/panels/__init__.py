"""JupyterLab controls: thin views on traitlets models. ipywidgets and anywidget live here alone."""
