"""The only wing that touches a board."""
