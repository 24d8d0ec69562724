"""Describing a checkpoint on the Hub from its metadata: the headers of its weight files, and a few small files."""

from pathlib import Path
from tempfile import TemporaryDirectory

from fidelity.checkpoints.anatomy import Anatomy, dissected
from fidelity.checkpoints.config import read_config
from fidelity.checkpoints.source import chat_template, fingerprint
from fidelity.checkpoints.tensors import Tensor, Weights
from fidelity.errors import ConfigError, FidelityError, MissingPackageError

SMALL_FILES = ["config.json", "hf_quant_config.json", "tokenizer_config.json", "chat_template.jinja"]

UNREACHABLE = frozenset(
    {"ConnectError", "ConnectTimeout", "ConnectionError", "OfflineModeIsEnabled", "ReadTimeout", "ProxyError"}
)
"""What the Hub's library and the HTTP libraries under it raise without a network."""


def dissect_on_hub(model: str, revision: str | None = None) -> Anatomy:
    """The result of `dissect`, without downloading the weights.

    Raises:
        ConfigError: The Hub has no such model, it has no safetensors, or the Hub can't be reached.
        MissingPackageError: huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise MissingPackageError("huggingface_hub", extra="vllm", needed_by=f"the Hub model {model!r}") from error
    hub = HfApi()
    try:
        headers = hub.get_safetensors_metadata(model, revision=revision).files_metadata
        files = hub.model_info(model, revision=revision, files_metadata=True).siblings or ()
        with TemporaryDirectory() as folder:
            hub.snapshot_download(model, revision=revision, allow_patterns=SMALL_FILES, local_dir=folder)
            config, template = read_config(Path(folder)), fingerprint(chat_template(Path(folder)))
    except FidelityError:
        raise
    except Exception as error:  # without a network its HTTP library raises, which changes between versions
        raise ConfigError(f"model {model!r}: neither a directory on this machine {_why_not_on_hub(error)}") from error
    tensors = {
        name: Tensor(str(entry.dtype), tuple(entry.shape), entry.data_offsets[1] - entry.data_offsets[0])
        for header in headers.values()
        for name, entry in header.tensors.items()
    }
    size = sum(file.size or 0 for file in files if file.rfilename in headers)
    return dissected(config, Weights(tensors, size), chat_template=template)


def _why_not_on_hub(error: Exception) -> str:
    """Why the Hub gave no answer, in words, and what its library reported."""
    detail = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    if type(error).__name__ in UNREACHABLE:
        return f"nor available from the Hub, which can't be reached; check the name, or the network ({detail})"
    return f"nor available from the Hub ({detail})"
