"""The packages of the extra `structure`: named in the signatures of structural metrics, and missed in plain words."""

from importlib.metadata import PackageNotFoundError, version

from fidelity.errors import MissingPackageError


def require(*packages: str, metric: str) -> tuple[str, ...]:
    """The distributions as they are, once each is known to be installed; nothing is imported.

    Raises:
        MissingPackageError: One of them is not installed.
    """
    for package in packages:
        try:
            version(package)
        except PackageNotFoundError as error:
            raise MissingPackageError(package, extra="structure", needed_by=f"the metric {metric!r}") from error
    return packages
