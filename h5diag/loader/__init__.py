"""External loaders of STM32CubeProgrammer: explain a log, lint the file, run it dry on an emulated core.

* `h5diag.loader.vb3.read_log`, `h5diag.loader.explain.explain`: a verbosity-3 log in plain words.
* `h5diag.loader.elf.read_loader`, `h5diag.loader.placement.family`, `h5diag.loader.lint.lint`: the file.
* `h5diag.loader.dryrun.run.dry_run`, `h5diag.loader.dryrun.trace.trace`: the calls, on an emulated core.
* `h5diag.loader.signs.loader_bypassed`, `h5diag.loader.signs.loader_mislinked`: answers for a diagnosis.

Nothing is imported here: the worker of the dry run comes through this package and must start quickly.
"""
