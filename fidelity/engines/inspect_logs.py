"""Logs of Inspect: JSON documents, and `.eval` files, which are ZIP archives with a JSON file for each sample."""

import zipfile
from pathlib import Path
from typing import Any
from zlib import error as ZlibError

from fidelity.engines.benchmark_outputs import agreed
from fidelity.engines.messages import read_message
from fidelity.errors import ConfigError
from fidelity.outside.documents import read_json
from fidelity.outside.strings import LONGEST_REASON, one_line
from fidelity.prompts import JsonRow, Rows, own_id
from fidelity.records import Judgment

MOST_BYTES = 1 << 30
"""Of all samples of an archive, unpacked."""
ATTACHMENT = "attachment://"
FINISHED = {"max_tokens": "length", "model_length": "length"}
"""Inspect's names of reasons that OpenAI's format has another name for."""
LETTERS: dict[str, Judgment] = {"C": "right", "I": "wrong", "N": "wrong", "P": "unclear"}
"""Inspect's values: correct, incorrect, no answer, partially correct."""
CONVERT = "convert it: inspect log convert --to json"


def is_inspect_log(row: JsonRow) -> bool:
    """Whether it is a log as one JSON document."""
    return isinstance(row.get("samples"), list) and isinstance(row.get("eval"), dict)


def read_inspect_archive(path: Path) -> Rows:
    """The log in a `.eval` file, as one row.

    Raises:
        ConfigError: It is not such a file, is damaged, or has more than 1 GiB of samples.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            files = [file for file in archive.infolist() if file.filename.startswith("samples/")]
            if sum(file.file_size for file in files) > MOST_BYTES:
                raise ConfigError(f"{path}: its samples have more than {MOST_BYTES >> 30} GiB; split the log")
            samples = [read_json(_unpacked(archive, file), unique_keys=False) for file in files]
    except NotImplementedError as error:
        raise ConfigError(f"{path}: compressed in a way that Python can't read ({error}); {CONVERT}") from error
    except (OSError, zipfile.BadZipFile, ZlibError, EOFError, RuntimeError, ValueError) as error:
        reason = one_line(str(error), most=LONGEST_REASON)
        raise ConfigError(f"{path}: not a log of Inspect, or damaged ({reason})") from error
    return [(str(path), {"eval": {}, "samples": samples})]


def _unpacked(archive: zipfile.ZipFile, file: zipfile.ZipInfo) -> bytes:
    """Not more than the size that the archive gives, which a damaged or hostile one can exceed."""
    with archive.open(file) as stream:
        return stream.read(file.file_size)


def inspect_rows(log: JsonRow, where: str) -> list[JsonRow]:
    """The answers of a log: each sample's last one, with its score.

    Raises:
        ConfigError: A sample is malformed.
    """
    rows = []
    for number, sample in enumerate(log["samples"]):
        place = f"{where}, sample {number + 1}"
        if not isinstance(sample, dict):
            raise ConfigError(f"{place}: expected a JSON object, got {type(sample).__name__}")
        rows.append(_sample_row(sample, place))
    return rows


def _sample_row(sample: JsonRow, where: str) -> JsonRow:
    epoch = sample.get("epoch")
    row: JsonRow = {
        "id": own_id({"id": sample.get("id")}, where=where),
        "repeat": epoch - 1 if type(epoch) is int and epoch > 0 else 0,
        "prompt": _prompt(sample),
    }
    if error := sample.get("error"):
        why = error.get("message") if isinstance(error, dict) else error
        return {**row, "failure": one_line(str(why), most=LONGEST_REASON) or "error"}
    output: JsonRow = dict(sample["output"]) if isinstance(sample.get("output"), dict) else {}
    match output.get("choices"):
        case [{"message": dict() as message} as choice, *_]:
            answer = read_message({**message, "content": _resolved(message.get("content"), sample)})
            if answer is not None:
                reason = choice.get("stop_reason")
                return {
                    **row,
                    "text": answer.text,
                    "reasoning": answer.reasoning,
                    "finish_reason": FINISHED.get(str(reason), reason),
                    "model": output.get("model"),
                    "score": _score(sample.get("scores")),
                }
    return {**row, "failure": "no answer in the log"}


def _prompt(sample: JsonRow) -> Any:
    """The turns before the first answer; else the sample's input."""
    turns = sample.get("messages")
    asked = []
    for turn in turns if isinstance(turns, list) else ():
        if not isinstance(turn, dict) or turn.get("role") == "assistant":
            break
        asked.append({"role": turn.get("role"), "content": _resolved(turn.get("content"), sample)})
    return asked or _resolved(sample.get("input"), sample) or None


def _resolved(content: Any, sample: JsonRow) -> Any:
    """Content with the long texts that a log has elsewhere. Pieces of text become one text."""
    if isinstance(content, list) and all(isinstance(piece, dict) and piece.get("type") == "text" for piece in content):
        return "".join(str(_resolved(piece.get("text"), sample)) for piece in content)
    if isinstance(content, str) and content.startswith(ATTACHMENT):
        attachments = sample.get("attachments")
        return attachments.get(content.removeprefix(ATTACHMENT), content) if isinstance(attachments, dict) else content
    return content


def _score(scores: Any) -> Judgment | None:
    """The judgment of all scorers; those with other values than right and wrong have no say."""
    values = (
        [score.get("value") for score in scores.values() if isinstance(score, dict)] if isinstance(scores, dict) else []
    )
    return agreed(_judged(value) for value in values)


def _judged(value: Any) -> Judgment | None:
    match value:
        case str():
            return LETTERS.get(value)
        case int() | float() if value in (0, 1):
            return "right" if value else "wrong"
    return None
