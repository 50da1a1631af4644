"""LlamaIndex: its directory reader, its sentence splitter, and its BM25 retriever.

Default: 1,024 tokens a passage, words of two letters and more; between two marks all Chinese
characters are one word. Fitted: 512 tokens, since longer passages count for nothing in the exam;
each Chinese character is a word; HTML is read by `HTMLTagReader`, without its tags. A file that
it cannot read is left out, as its reader prints.
"""

from __future__ import annotations

from llama_index.core import SimpleDirectoryReader  # type: ignore[import-not-found]
from llama_index.core.node_parser import SentenceSplitter  # type: ignore[import-not-found]
from llama_index.readers.file import HTMLTagReader  # type: ignore[import-not-found]
from llama_index.retrievers.bm25 import BM25Retriever  # type: ignore[import-not-found]
from sitting import NUM_PASSAGES, Found, read_task, sit

FITTED_TOKENS = 512
FITTED_OVERLAP = 50
FITTED_PATTERN = r"(?u)[\u3400-\u9fff]|[^\W\u3400-\u9fff]{2,}"


def main() -> None:
    task = read_task()
    readers = {".html": HTMLTagReader(tag="body")} if task.fitted else None
    reader = SimpleDirectoryReader(
        str(task.documents),
        recursive=True,
        exclude_hidden=False,  # it would skip all under `.work`
        file_extractor=readers,
    )
    if task.fitted:
        splitter = SentenceSplitter(chunk_size=FITTED_TOKENS, chunk_overlap=FITTED_OVERLAP)
    else:
        splitter = SentenceSplitter()
    nodes = splitter.get_nodes_from_documents(reader.load_data())
    options = {"token_pattern": FITTED_PATTERN} if task.fitted else {}
    retriever = BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=NUM_PASSAGES, **options)

    def search(question: str) -> list[Found]:
        found = retriever.retrieve(question)
        return [Found(hit.node.node_id, hit.node.get_content()) for hit in found]

    sit(task, len(nodes), search)


if __name__ == "__main__":
    main()
