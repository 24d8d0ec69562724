"""What is opened is a file: no pipe that would be waited for, no device without an end, no link out of the store."""

import os
import struct
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fidelity.checkpoints.source import chat_template
from fidelity.checkpoints.tensors import safetensors_header
from fidelity.checkpoints.tokenizer import read_tokenizer
from fidelity.errors import ConfigError, StoreError
from fidelity.files import locked, read_parquet
from fidelity.outside.paths import open_own, open_regular, read_regular
from fidelity.outside.tables import read_table
from fidelity.prompts import read_rows
from fidelity.records import Failure
from fidelity.store.journal import Journal

MEMORY = 4 << 30
READ = """
import resource, sys
from pathlib import Path
from fidelity.errors import ConfigError
from fidelity.prompts import read_rows
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
try:
    read_rows(Path(sys.argv[1]))
except ConfigError as error:
    print(error)
"""


@pytest.fixture(params=["a pipe", "an endless device", "a folder", "a NUL"])
def no_file(request, tmp_path):
    file = tmp_path / "x.jsonl"
    match request.param:
        case "a pipe":
            os.mkfifo(file)
        case "an endless device":
            file.symlink_to("/dev/zero")
        case "a folder":
            file.mkdir()
        case "a NUL":
            return tmp_path / "a\0b"
    return file


def test_only_files_are_opened(no_file):
    with pytest.raises(OSError):  # noqa: PT011 - each of the kinds
        open_regular(no_file)
    with pytest.raises(ConfigError, match="can't be read"):
        read_rows(no_file)
    with pytest.raises(StoreError, match="can't be read"):
        read_parquet(no_file)


def test_a_file_beyond_a_limit(tmp_path):
    (tmp_path / "x").write_bytes(b"123456")
    assert read_regular(tmp_path / "x", most=6) == b"123456"
    with pytest.raises(OSError, match="larger than 5 bytes"):
        read_regular(tmp_path / "x", most=5)


def test_a_lock_or_a_journal_that_leads_out_of_the_store_changes_nothing_there(tmp_path):
    outside, store = tmp_path / "precious", tmp_path / "store"
    outside.write_text("precious")
    store.mkdir()
    for name in (".lock", "answers-000000.jsonl", "engine.log"):
        (store / name).symlink_to(outside)
        with pytest.raises(OSError, match="a symbolic link; remove it"):
            open_own(store / name, append=True)
    with pytest.raises(StoreError, match="a symbolic link; remove it"), locked(store):
        pass
    with pytest.raises(StoreError, match="a symbolic link; remove it"), Journal(store / "answers-000000.jsonl"):
        pass
    assert outside.read_text() == "precious"


def test_a_journal_goes_on_where_it_ended(tmp_path):
    for place in range(2):
        with Journal(tmp_path / "answers.jsonl") as journal:
            journal.add(place, Failure("p", "why"))
    assert [place for place, _ in journal.outcomes()] == [0, 1]


def many_times_one_text(file):
    once = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), ["x" * 1_000_000])
    pq.write_table(pa.table({"id": [str(n) for n in range(20_000)], "text": once}), file)


def many_rows(file):
    rows = pa.table({"id": pa.nulls(50_000_000), "text": pa.nulls(50_000_000)})
    pq.write_table(rows, file)


def one_long_list(file):
    zeros = pa.ListArray.from_arrays(pa.array([0, 100_000_000], pa.int32()), pa.array(np.zeros(100_000_000, "int8")))
    pq.write_table(pa.table({"id": ["a"], "token_ids": zeros}), file)


@pytest.mark.parametrize("write", [many_times_one_text, many_rows, one_long_list])
def test_a_small_parquet_file_that_unpacks_to_gigabytes_is_refused(tmp_path, write):
    file = tmp_path / "x.parquet"
    write(file)
    assert file.stat().st_size < 5_000_000
    code = READ.format(memory=MEMORY)
    child = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=False)
    assert "it unpacks to more than 1,073,741,824 bytes" in child.stdout, child.stderr


def test_a_large_table_is_read_in_batches_with_the_same_content(tmp_path):
    texts = [f"answer {n} " + "x" * (n % 2000) for n in range(9000)]
    table = pa.table({"id": [str(n) for n in range(9000)], "text": texts, "n": [[n, n] for n in range(9000)]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=1000, write_page_checksum=True)
    assert read_table(tmp_path / "x.parquet", checksums=True) == table
    assert read_table(tmp_path / "x.parquet", columns=["text"]) == table.select(["text"])


@pytest.mark.parametrize("metadata", ['"x"', "[1]", "5"])
def test_a_checkpoint_s_metadata_of_another_type(tmp_path, metadata):
    header = f'{{"__metadata__": {metadata}}}'.encode()
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(ConfigError, match="damaged"):
        safetensors_header(tmp_path / "x.safetensors")


@pytest.mark.parametrize("vocabulary", ["5", '"abc"', "null", '[["a", 1], 5]'])
def test_a_tokenizer_with_another_vocabulary(tmp_path, vocabulary):
    (tmp_path / "tokenizer.json").write_text(f'{{"model": {{"vocab": {vocabulary}}}, "added_tokens": []}}')
    assert read_tokenizer(tmp_path) is None


@pytest.mark.parametrize("written", ['["a"]', '[{"a": 1}]', "5", "[1]"])
def test_chat_templates_of_another_type(tmp_path, written):
    (tmp_path / "tokenizer_config.json").write_text(f'{{"chat_template": {written}}}')
    assert chat_template(tmp_path) is not None
    (tmp_path / "tokenizer_config.json").write_text("[1]")
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff\xfe")
    assert chat_template(tmp_path) is None
