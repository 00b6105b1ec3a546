"""External loaders of STM32CubeProgrammer: explain a log, lint the file, run it dry on an emulated core.

* `vb3`, `explain`: a verbosity-3 log in plain words.
* `elf`, `placement`, `lint`: the file.
* `signs`: answers for a diagnosis. The dry run on an emulated core is `h5diag.sim.dryrun`.

Nothing is imported here: the worker of the dry run comes through this package and must start quickly.
"""
