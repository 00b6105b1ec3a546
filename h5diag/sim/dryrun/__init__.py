"""Dry run: the programmer's calls into a loader, made on an emulated core, in a worker process of its own.

`h5diag.sim.dryrun.run` is the way in. The modules `worker`, `sandbox`, `selftest`, `sequence`, `machine`, `bus`,
`xspi` and `nor` run in the worker and import nothing but the standard library and the emulator.
"""
