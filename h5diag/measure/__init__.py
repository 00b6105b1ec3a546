"""Values to measurements, without side effects: options, firmware, locate, compare, repeats, loader."""
