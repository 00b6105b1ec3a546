"""What talks to people: command line, panels, lab."""
