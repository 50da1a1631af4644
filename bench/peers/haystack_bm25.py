"""Haystack: its file converters, a splitter, and BM25 in memory.

Default: `DocumentPreprocessor` as it comes, which cuts at every 250th space; Chinese has none, so
that a Chinese document stays one passage. Fitted: `RecursiveDocumentSplitter` by characters, with
the Chinese full stop among its separators. Its BM25 takes each Chinese character for a word by
default. A file that its converters cannot read is left out, as they log.
"""

from __future__ import annotations

from haystack import Document  # type: ignore[import-not-found]
from haystack.components.converters import (  # type: ignore[import-not-found]
    MultiFileConverter,
)
from haystack.components.preprocessors import (  # type: ignore[import-not-found]
    DocumentPreprocessor,
    RecursiveDocumentSplitter,
)
from haystack.components.retrievers.in_memory import (  # type: ignore[import-not-found]
    InMemoryBM25Retriever,
)
from haystack.document_stores.in_memory import (  # type: ignore[import-not-found]
    InMemoryDocumentStore,
)
from haystack.document_stores.types import DuplicatePolicy  # type: ignore[import-not-found]
from sitting import NUM_PASSAGES, Found, read_task, sit

FITTED_CHARACTERS = 1000
SEPARATORS = ["\n\n", "\n", "。", r"\. ", " "]


def split(documents: list[Document], fitted: bool) -> list[Document]:
    if fitted:
        splitter = RecursiveDocumentSplitter(
            split_length=FITTED_CHARACTERS, split_unit="char", separators=SEPARATORS
        )
        splitter.warm_up()
    else:
        splitter = DocumentPreprocessor()
    passages: list[Document] = splitter.run(documents=documents)["documents"]
    return passages


def main() -> None:
    task = read_task()
    files = sorted(path for path in task.documents.rglob("*") if path.is_file())
    documents = MultiFileConverter().run(sources=files)["documents"]
    passages = split([each for each in documents if each.content], task.fitted)
    store = InMemoryDocumentStore()
    store.write_documents(passages, policy=DuplicatePolicy.SKIP)
    retriever = InMemoryBM25Retriever(document_store=store, top_k=NUM_PASSAGES)

    def search(question: str) -> list[Found]:
        found = retriever.run(query=question)["documents"]
        return [Found(passage.id, passage.content) for passage in found]

    sit(task, store.count_documents(), search)


if __name__ == "__main__":
    main()
