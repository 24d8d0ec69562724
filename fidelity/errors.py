"""The errors that a user can put right: each says what was found, where (file, key, prompt id), and what to do."""


class FidelityError(Exception):
    """Anything that fidelity refuses or that went wrong around it; its text is shown to the user as it is."""


class ConfigError(FidelityError):
    """A YAML file, a prompt set or an argument that can't be used as it is written."""


class IncomparableError(FidelityError):
    """Two runs that answer different questions, so that no number between them would mean anything."""


class EngineError(FidelityError):
    """A model that could not be loaded, or an engine that died; carries the engine's own last lines in its text."""


class StoreError(FidelityError):
    """A store that can't be read or written: a full disk, a damaged file, a newer schema."""


class MissingPackageError(FidelityError):
    """A package of an extra that is not installed."""

    def __init__(self, package: str, *, extra: str, needed_by: str) -> None:
        super().__init__(
            f"{needed_by} needs the package {package!r}, which is not installed: pip install 'llm-fidelity[{extra}]'"
        )
