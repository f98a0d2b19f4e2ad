"""A scripted endpoint that answers with given texts: what it says depends on the question, how on the model's name."""

from typing import Any

from tests.scripted_endpoint import Script, ScriptedEndpoint

PIECE = 7  # characters a chunk: blocks, formulas and escapes are cut in all places


class WrittenEndpoint(ScriptedEndpoint):
    """`answers[question] = text`; questions without one get the usual words. Passages may stand before a question.

    `queries[question]` is what it writes when it is asked what to search for; without any, nothing that is a query.
    """

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, str] = {}
        self.queries: dict[str, list[str]] = {}

    def _words(self, script: Script, body: dict[str, Any]) -> list[dict[str, Any]]:
        questions = [message["content"] for message in body["messages"] if message["role"] == "user"]
        text = next((text for question, text in self.answers.items() if _asks(questions[-1], question)), None)
        for question, queries in self.queries.items():
            if questions[-1].endswith(f"The question:\n{question}"):
                text = "\n".join(queries)
        if text is None:
            return super()._words(script, body)
        last = body["messages"][-1]
        if last["role"] == "assistant" and text.startswith(last["content"]):
            text = text[len(last["content"]) :]
        pieces = [{"content": text[at : at + PIECE]} for at in range(0, len(text), PIECE)]
        thoughts = [{"reasoning_content": "First the bottom, "}, {"reasoning_content": "then the line."}]
        return thoughts + pieces if "reasoning-content" in script else pieces


def _asks(content: str, question: str) -> bool:
    return content == question or content.endswith(f"\n\n{question}")
