"""A chip that is not there: virtual chip, dry run, recordings."""
