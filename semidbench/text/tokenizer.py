"""The generator's text tokens: a tokenizer, and how many rows of the generator's vocabulary are text's."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from semidbench.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from semidbench.text.pretrained import Pretrained

FORMAT = 1
_TOKENIZER, _SIZE = "tokenizer.json", "text_tokens.json"


@dataclass(frozen=True, slots=True)
class TextTokens:
    """What turns text into tokens.

    Attributes:
        tokenizer: its ids lie below `size`.
        size: the first ID token. A pretrained T5 has more rows than its tokenizer has tokens (flan-t5: 32,128 and
            32,100); ID tokens stand behind all of them.
    """

    tokenizer: Tokenizer
    size: int


def trained_text_tokens(texts: Iterable[str], size: int) -> TextTokens:
    """Of a generator from scratch: trained on training text only."""
    tokenizer = train_tokenizer(texts, size)
    return TextTokens(tokenizer, tokenizer.get_vocab_size())


def pretrained_text_tokens(model: Pretrained) -> TextTokens:
    """Of a pretrained T5: its own `tokenizer.json`, and the rows that its `config.json` names.

    Raises:
        UserError: one of the files is missing or damaged, or the model is not laid out as T5 is.
    """
    from tokenizers import Tokenizer

    try:
        size = int(json.loads((model.folder / "config.json").read_text("utf-8"))["vocab_size"])
        tokenizer = Tokenizer.from_str((model.folder / _TOKENIZER).read_text("utf-8"))
    except Exception as error:  # the tokenizers library raises plain Exception
        raise UserError(
            f"model folder {model.folder} lacks a config.json or {_TOKENIZER} that can be read: {error}. "
            "Get the whole model again"
        ) from error
    tokenizer.no_truncation()  # such settings are saved with a tokenizer, and the track has its own
    tokenizer.no_padding()
    special = {token: tokenizer.token_to_id(token) for token in (PAD, END)}
    if special != {PAD: PAD_ID, END: END_ID} or tokenizer.get_vocab_size() > size:
        raise UserError(
            f"{model.folder} is not laid out as T5: {special}, {tokenizer.get_vocab_size()} tokens, {size} rows. "
            f"Needs {PAD} as {PAD_ID}, {END} as {END_ID}, and a row for each token"
        )
    return TextTokens(tokenizer, size)


def save_text_tokens(tokens: TextTokens, folder: Path) -> None:
    """Write the tokenizer as the tokenizers library does, and the size beside it."""
    tokens.tokenizer.save(str(folder / _TOKENIZER))
    (folder / _SIZE).write_text(json.dumps({"format": FORMAT, "text_tokens": tokens.size}) + "\n", "utf-8")


def load_text_tokens(folder: Path) -> TextTokens:
    """Read what `save_text_tokens` wrote."""
    from tokenizers import Tokenizer

    size = json.loads((folder / _SIZE).read_text("utf-8"))["text_tokens"]
    return TextTokens(Tokenizer.from_file(str(folder / _TOKENIZER)), size)


PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"  # T5's names; ids 0, 1 and 2


PAD_ID, END_ID = 0, 1


def train_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """A lower-casing byte-level BPE tokenizer of at most `size` tokens, from training text only.

    BPE because its trainer repeats to the bit; that of WordPiece numbers its alphabet in hash order.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[PAD, END, UNKNOWN],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
