"""Scenes told from what happened to a board, by somebody who had not read the checks; see `kinds.py`."""
