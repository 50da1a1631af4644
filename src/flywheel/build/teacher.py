"""Text from a teacher: a larger model answers the exercises, and the small one learns its words.

Of what it says only what the passages in the prompt support is learned, marked with their numbers,
as when answers are served (answer/write.py). Where it falls short, an exercise keeps its quoted
answer. A teacher's whole distribution is learned by `objectives.Distillation`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from flywheel.answer.prompt import UNTOLD, marked, read_prompt
from flywheel.answer.settings import WriteSettings
from flywheel.answer.write import Writer
from flywheel.engine.protocol import Engine
from flywheel.errors import EngineError, ModelError
from flywheel.records import Conversation, Message
from flywheel.search.frequencies import Frequencies

NUM_ASKED = 8
"""Exercises that the teacher is asked at once."""
MOST_FAILURES = 5
"""In a row, after which the teacher counts as gone."""


def taught_by(
    teacher: Engine,
    conversations: Sequence[Conversation],
    frequencies: Frequencies,
    settings: WriteSettings,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> tuple[Conversation, ...]:
    """The same conversations, each answered by the teacher where all that it says is supported.

    Those whose right answer is that nothing tells stay as they are.

    Raises:
        ModelError: the teacher does not answer any more.
    """
    writer = Writer(lambda: teacher, frequencies, settings)
    said: list[Conversation] = []
    num_failures = 0
    with ThreadPoolExecutor(NUM_ASKED) as asking:
        for before, after in zip(
            conversations,
            asking.map(lambda each: _reworded(writer, each), conversations),
            strict=True,
        ):
            failed = isinstance(after, EngineError)
            num_failures = num_failures + 1 if failed else 0
            if num_failures == MOST_FAILURES:
                asking.shutdown(cancel_futures=True)
                raise ModelError(f"The teacher, {teacher.name}, does not answer: {after}")
            said.append(before if isinstance(after, EngineError) else after)
            progress(len(said), len(conversations))
    return tuple(said)


def _reworded(writer: Writer, conversation: Conversation) -> Conversation | EngineError:
    *asked, gold = conversation.messages
    if gold.content in UNTOLD.values():
        return conversation
    prompt = read_prompt(asked)
    try:
        sentences = list(writer.of_prompt(prompt))
    except EngineError as error:
        return error
    words = [
        marked(each.text.strip(), [int(each.citation.passage)])
        for each in sentences
        if each.citation
    ]
    if not words or len(words) < len(sentences):
        return conversation
    joint = "" if prompt.language == "zh" else " "
    answer = Message(role="assistant", content=joint.join(words))
    return replace(conversation, messages=(*asked, answer))
