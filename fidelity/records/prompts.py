"""Prompts."""

from dataclasses import dataclass, field

from fidelity.records.expected import ExpectedAnswer


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat, in the roles of the OpenAI chat format."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt of a set. A text is one user message to a chat model, and plain text to a model without a template."""

    id: str
    content: str | tuple[Message, ...]
    category: str | None = None
    expected: ExpectedAnswer | None = field(default=None, hash=False)
    """What makes an answer right; never shown to a model."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The prompt as a chat."""
        return (Message("user", self.content),) if isinstance(self.content, str) else self.content

    @property
    def text(self) -> str:
        """The turns joined as text, for display and for models without a chat template."""
        return self.content if isinstance(self.content, str) else "\n\n".join(m.content for m in self.content)
