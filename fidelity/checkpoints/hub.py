"""Describing a checkpoint on the Hub from its metadata: the headers of its weight files, and a few small files."""

from pathlib import Path
from tempfile import TemporaryDirectory

from fidelity.checkpoints.anatomy import Anatomy, dissected
from fidelity.checkpoints.config import read_config
from fidelity.checkpoints.source import chat_template, fingerprint
from fidelity.checkpoints.tensors import Tensor, Weights
from fidelity.errors import ConfigError, FidelityError, MissingPackageError

SMALL_FILES = ["config.json", "hf_quant_config.json", "tokenizer_config.json", "chat_template.jinja"]


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
        detail = (str(error).splitlines() or [""])[0]
        raise ConfigError(
            f"model {model!r}: neither a directory on this machine nor available from the Hub "
            f"({type(error).__name__}: {detail})"
        ) from error
    tensors = {
        name: Tensor(str(entry.dtype), tuple(entry.shape), entry.data_offsets[1] - entry.data_offsets[0])
        for header in headers.values()
        for name, entry in header.tensors.items()
    }
    size = sum(file.size or 0 for file in files if file.rfilename in headers)
    return dissected(config, Weights(tensors, size), chat_template=template)
