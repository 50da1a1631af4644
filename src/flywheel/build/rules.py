"""The published rules that a plan goes by, one function each, with its source beside it.

They were fitted on larger models than most planned here; where one is used outside the range that
it was fitted in, its docstring says so.
"""

from __future__ import annotations

import math

from flywheel.build.shape import Family, Shape

CHINCHILLA = "Hoffmann et al. 2022, Training compute-optimal large language models"
REPEATED = "Muennighoff et al. 2023, Scaling data-constrained language models"
VOCABULARY = "Tao et al. 2024, Scaling laws with vocabulary"
ASPECT = "Kaplan et al. 2020, Scaling laws for neural language models, section 3.1"
GATED = "Shazeer 2020, GLU variants improve transformer"
LORA = "Hu et al. 2021, LoRA: low-rank adaptation of large language models"
LORA_HOLDS = "Schulman et al. 2025, LoRA without regret"
LORA_FORGETS = "Biderman et al. 2024, LoRA learns less and forgets less"
COMPUTE = "Bi et al. 2024, DeepSeek LLM, section 3.1"
SCHEDULE = "Hu et al. 2024, MiniCPM, section 4"
LLAMA_2 = "Touvron et al. 2023, Llama 2, sections 2 and 3"
ALPACA = "Taori et al. 2023, Alpaca"
TULU_3 = "Lambert et al. 2024, Tülu 3"
DPO = "Rafailov et al. 2023, Direct preference optimization"
RECOMPUTE = "Chen et al. 2016, Training deep nets with sublinear memory cost"
CHARACTERS = "现代汉语常用字表, 1988"

TOKENS_PER_PARAMETER = 20
"""CHINCHILLA: what a model of a given size is best trained on, if only compute counts."""
EPOCHS = 4
"""REPEATED: so many passes over a text are nearly as good as fresh text."""
MOST_EPOCHS = 16
"""REPEATED: about here a pass is worth half of a fresh one, and later ones next to nothing."""
SUPERVISED_EPOCHS = 3
"""ALPACA; Llama 2 took 2 over far more."""
PREFERENCE_EPOCHS = 1
"""DPO is run once over its pairs, as by Tülu 3: later passes fit their wording."""
COMMON_CHARACTERS = 3500
"""CHARACTERS: the Han characters that writing in Chinese needs. Each should be a token."""

_BEST_BODY, _BEST_VOCABULARY = 2.87e9, 43_000 * 3200
"""VOCABULARY: the best one of a body of 2.87 billion parameters has 43,000 rows of 3,200."""


def vocabulary(num_body_params: int, width: int) -> float:
    """The vocabulary that a model's body deserves: its parameters grow as the body's^0.83.

    VOCABULARY, fitted from 33 million parameters on; below them it is continued.
    """
    share = (num_body_params / _BEST_BODY) ** 0.83
    return float(_BEST_VOCABULARY * share / width)


def compute(shape: Shape, num_tokens: int) -> float:
    """Operations that training takes: 6 for each parameter that multiplies, and each token."""
    return 6.0 * (shape.num_body_params + shape.vocab_size * shape.width) * num_tokens


def batch_tokens(operations: float) -> float:
    """Tokens of one step of the optimizer, by the operations of the whole training.

    COMPUTE, equation 1, fitted from 1e17 on.
    """
    return float(0.2920 * operations**0.3271)


def new_learning_rate(operations: float) -> float:
    """The peak for a new model.

    COMPUTE, equation 1, fitted from 1e17 on; below it the rule rises past what small models were
    seen to bear, so that it is held at its value there, 2.3e-3.
    """
    return float(0.3118 * max(operations, 1e17) ** -0.1250)


def base_learning_rate(shape: Shape, *, adapter: bool) -> float:
    """The peak for a base: 5e-5 (2000 / width)^p, and ten times that with LoRA.

    LORA_HOLDS, with the exponents that its authors found for Llama and for Qwen.
    """
    return float(5e-5 * (10 if adapter else 1) * (2000 / shape.width) ** _power(shape.family))


def _power(family: Family) -> float:
    return 0.781 if family == "llama" else 0.0775


def adapter_holds(num_adapter_params: int, num_tokens: int) -> bool:
    """Whether LoRA learns a text as well as full training: it holds 2 bits a parameter, and a
    token of text brings about 1.

    LORA_HOLDS, section "How much capacity is needed".
    """
    return 2 * num_adapter_params >= num_tokens


def hidden_width(width: int) -> int:
    """Of a gated MLP with three matrices: 8/3 of the width keeps the parameters of an ungated one
    with 4 times the width (GATED, section 3); rounded up to whole blocks of 64."""
    return 64 * math.ceil(width * 8 / 3 / 64)
