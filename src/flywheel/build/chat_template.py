"""The chat templates of ours, for a new tokenizer and for a base that has none."""

from __future__ import annotations

from transformers import PreTrainedTokenizerFast

CHATML_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""For a tokenizer that has ChatML's two special tokens, and no template of its own."""

PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{{ bos_token if loop.first }}"
    "{{ message['role'] }}:\n{{ message['content'] }}{{ eos_token }}\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}assistant:\n{% endif %}"
)
"""For any other: roles are plain text, and the end of a message is the end-of-text token, which
the model knows already as the place to stop."""


def chat_template_for(tokenizer: PreTrainedTokenizerFast) -> str:
    """The template of ours for a tokenizer without one, made only of what it can encode."""
    known = tokenizer.get_vocab()
    if "<|im_start|>" in known and "<|im_end|>" in known:
        return CHATML_TEMPLATE
    return PLAIN_TEMPLATE
