"""The errors that a user can fix. Each message names the place (file, key, prompt id), the problem and the repair."""


class FidelityError(Exception):
    """Base class of all errors that fidelity raises on purpose. Its text is shown to the user unchanged."""


class ConfigError(FidelityError):
    """A YAML file, a prompt set or an argument that is invalid."""


class IncomparableError(FidelityError):
    """Two runs that can't be compared, for example because they answer different prompts."""


class EngineError(FidelityError):
    """A model that could not be loaded, or an engine that crashed. The text ends with the engine's last log lines."""


class EngineDied(EngineError):
    """An engine that ended while it was needed, or made no progress for too long."""

    def __init__(self, message: str, *, killed: bool = False) -> None:
        """Make the error; `killed` if SIGKILL or SIGTERM ended it, which a process doesn't do to itself."""
        super().__init__(message)
        self.killed = killed


class StoreError(FidelityError):
    """A store that can't be read or written: the disk is full, a file is damaged, or the schema is newer."""


class MissingPackageError(FidelityError):
    """A package of an optional extra that is not installed."""

    def __init__(self, package: str, *, extra: str, needed_by: str) -> None:
        super().__init__(
            f"{needed_by} needs the package {package!r}, which is not installed: pip install 'llm-fidelity[{extra}]'"
        )
