"""Is this STM32 faulty? Evidence from dumps, option bytes, images and logs, weighed into a verdict."""

__version__ = "0.1.0"
