"""The processes that hold a model, one module an engine; each is run as `python -m fidelity.children.NAME`.

They import nothing else of this package, so that one can run in another environment than the command.
"""
