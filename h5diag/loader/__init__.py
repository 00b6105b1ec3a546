"""External loaders of STM32CubeProgrammer: explain a log, lint the file, run it dry on an emulated core."""
