"""The calls of tools in a model's answers, read by one of vLLM's parsers as its server reads them."""

from typing import Any

from fidelity.children.wire import JsonRecord, PromptRow


class ToolCallReader:
    """One of vLLM's tool parsers."""

    def __init__(self, name: str, tokenizer: Any) -> None:
        """Load the parser.

        Raises:
            ValueError: The installed vLLM has no parser of this name.
        """
        manager = _manager()
        try:
            self._parser = manager.get_tool_parser(name)
        except KeyError:
            known = sorted({*manager.tool_parsers, *getattr(manager, "lazy_parsers", ())})
            raise ValueError(f"vLLM has no tool_call_parser {name!r}; it has {', '.join(known)}") from None
        self._tokenizer = tokenizer

    def decoding(self, row: PromptRow) -> JsonRecord:
        """The sampling parameters that the parser needs for a prompt."""
        request = self._open(row)[1]
        return {"skip_special_tokens": bool(request.skip_special_tokens)}

    def read(self, row: PromptRow, output: Any) -> JsonRecord:
        """`content` (the text without its calls) and `tool_calls` (names and arguments) of an answer.

        The text is all of the answer where the parser finds no call, which includes a malformed one.
        """
        parser, request = self._open(row)
        try:
            extracted = parser.extract_tool_calls(output.text, request)
        except Exception:  # a parser reads whatever a model writes, and each raises its own exceptions
            return {"tool_calls": []}
        if not extracted.tools_called:
            return {"tool_calls": []}
        calls = [[call.function.name, call.function.arguments] for call in extracted.tool_calls]
        return {"content": extracted.content or "", "tool_calls": calls}

    def _open(self, row: PromptRow) -> tuple[Any, Any]:
        """A parser for one answer, and the prompt as vLLM's request, adjusted by the parser."""
        request = _request_type()(model="", messages=[], tools=row["tools"], tool_choice="auto")
        try:
            parser = self._parser(self._tokenizer, request.tools)
        except TypeError:  # vLLM up to 0.26: without the tools
            parser = self._parser(self._tokenizer)
        return parser, parser.adjust_request(request)


def _manager() -> Any:
    try:
        from vllm.tool_parsers import ToolParserManager
    except ImportError:  # older versions
        from vllm.entrypoints.openai.tool_parsers import ToolParserManager
    return ToolParserManager


def _request_type() -> Any:
    try:
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    except ImportError:  # older versions
        from vllm.entrypoints.openai.protocol import ChatCompletionRequest
    return ChatCompletionRequest
