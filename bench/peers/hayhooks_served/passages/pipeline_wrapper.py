"""Haystack's passages behind Hayhooks, its own server that speaks the OpenAI protocol.

Passages and retriever as haystack_bm25.py has them in the fitted setting; the answer is the best
passage, and nothing is kept of it.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

from hayhooks import BasePipelineWrapper  # type: ignore[import-not-found]
from haystack.components.converters import (  # type: ignore[import-not-found]
    TextFileToDocument,
)
from haystack.components.preprocessors import (  # type: ignore[import-not-found]
    RecursiveDocumentSplitter,
)
from haystack.components.retrievers.in_memory import (  # type: ignore[import-not-found]
    InMemoryBM25Retriever,
)
from haystack.document_stores.in_memory import (  # type: ignore[import-not-found]
    InMemoryDocumentStore,
)
from haystack.document_stores.types import DuplicatePolicy  # type: ignore[import-not-found]

FITTED_CHARACTERS = 1000
SEPARATORS = ["\n\n", "\n", "。", r"\. ", " "]


class PipelineWrapper(BasePipelineWrapper):  # type: ignore[misc]
    """What Hayhooks deploys."""

    def setup(self) -> None:
        """Reads the documents, once."""
        folder = Path(os.environ["BENCH_DOCUMENTS"])
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        documents = TextFileToDocument().run(sources=files)["documents"]
        splitter = RecursiveDocumentSplitter(
            split_length=FITTED_CHARACTERS, split_unit="char", separators=SEPARATORS
        )
        splitter.warm_up()
        passages = splitter.run(documents=[each for each in documents if each.content])
        store = InMemoryDocumentStore()
        store.write_documents(passages["documents"], policy=DuplicatePolicy.SKIP)
        self._retriever = InMemoryBM25Retriever(document_store=store, top_k=10)

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> str | Generator[str, None, None]:
        """The best passage for the last message."""
        found = self._retriever.run(query=messages[-1]["content"])["documents"]
        text: str = found[0].content if found else "Nothing was found."
        return (piece for piece in (text,)) if body.get("stream") else text
