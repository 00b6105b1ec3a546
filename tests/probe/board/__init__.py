"""Tests of the rooms virtual, board and acquire."""
