"""Plots that answer a question at a glance. matplotlib lives here alone; nothing here computes a result."""

from h5diag.show.plots import _matplotlib as _matplotlib  # first: it decides what matplotlib reads
from h5diag.show.plots.boards import plot_bits, plot_causes
from h5diag.show.plots.memory_map import plot_memory_map
from h5diag.show.plots.picture import Picture, picture, save_png

__all__ = ["Picture", "picture", "plot_bits", "plot_causes", "plot_memory_map", "save_png"]
