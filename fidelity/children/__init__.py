"""The child processes that hold a model, one module per engine, run as `python -m fidelity.children.NAME`.

They import nothing else of this package, so they can run in another environment than the command.
"""
