"""vLLM's own load generator (`vllm bench serve`), imported once: `python -m fidelity.children.vllm_bench`.

Each line on standard input is a JSON list of the command's arguments; each result is one line of JSON on standard
output, `{"result": ...}` or `{"error": ...}`. What the benchmark prints goes to standard error.
"""

import argparse
import asyncio
import json
import os
import sys
from contextlib import redirect_stdout
from typing import Any, TextIO

READY = {"ready": True}


def main() -> None:
    """Answer each line until standard input is closed."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with redirect_stdout(sys.stderr):
        from vllm.benchmarks.serve import add_cli_args, main_async
        from vllm.utils.argparse_utils import FlexibleArgumentParser

        parser = FlexibleArgumentParser()
        add_cli_args(parser)
        _answer(answers, READY)
        for line in sys.stdin:
            try:
                result: dict[str, Any] = asyncio.run(main_async(_parsed(parser, json.loads(line))))
            except (Exception, SystemExit) as error:  # one measurement's failure costs no other
                _answer(answers, {"error": f"{type(error).__name__}: {error}"})
                continue
            _answer(answers, {"result": result})


def _parsed(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    return parser.parse_args(arguments)


def _answer(answers: TextIO, content: dict[str, Any]) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
