"""The bytes that each token of a vocabulary writes.

For measures that go by bytes or letters. Not here: the merges that lead to a token (merges.py).
"""

from __future__ import annotations

from transformers import PreTrainedTokenizerFast


def token_bytes(tokenizer: PreTrainedTokenizerFast, vocab_size: int) -> list[bytes]:
    """What each token writes; nothing for special tokens, unknown ones and rows without a token.

    For byte-level BPE (GPT-2, Qwen, Llama 3) and for pieces with `▁` and `<0x41>` (Llama 2).
    """
    special = set(tokenizer.all_special_ids)
    is_byte_level = "ByteLevel" in str(tokenizer.backend_tokenizer.decoder)
    ids = range(min(vocab_size, len(tokenizer)))
    tokens = [tokenizer.backend_tokenizer.id_to_token(id) for id in ids]
    written = [
        b"" if token is None or id in special else _written(token, is_byte_level)
        for id, token in enumerate(tokens)
    ]
    return written + [b""] * (vocab_size - len(written))


def _written(token: str, is_byte_level: bool) -> bytes:
    if is_byte_level:
        if all(char in _BYTE_OF for char in token):
            return bytes(_BYTE_OF[char] for char in token)
        return token.encode()  # added as it stands
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes([int(token[3:5], 16)])
    return token.replace("▁", " ").encode()


def _byte_characters() -> dict[str, int]:
    """GPT-2's alphabet: a printable character of Latin-1 for its own byte; the other bytes have
    the characters from 256 on, in order."""
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in set(own)]
    return {chr(byte): byte for byte in own} | {
        chr(256 + place): byte for place, byte in enumerate(others)
    }


_BYTE_OF = _byte_characters()
