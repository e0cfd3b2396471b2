"""Small tokenizers of every kind that can be trimmed, trained on made-up text."""

import json
import random
from collections.abc import Callable
from functools import cache

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
_PARTS = [
    *"aeiou",
    "ba",
    "ding",
    "er",
    "fé",
    "gra",
    "hol",
    "ing",
    "kno",
    "lu",
    "mis",
    "ny",
    "pre",
    "qua",
    "re",
    "sto",
]
_PARTS += ["tion", "un", "vel", "wor", "yx", "zen", "ß", "ñe"]
# Characters that no piece knows, that are words of their own, and that normalisation changes.
ODD = [
    *"#▁Ġ<>/0123!?.,'’ÉéÅßøñΩжя中国日本한☃🎈",
    " ",
    "\t",
    "\u0301",
    "\u200d",
    "##",
    "</w>",
    "<0x41>",
    "[UNK]",
    "<mask>",
]


def made_up_texts(count: int, seed: int = 0) -> list[str]:
    """Return texts of made-up words, some of them frequent."""
    draw = random.Random(seed)
    words = ["".join(draw.choices(_PARTS, k=draw.randint(1, 4))) for _ in range(400)]
    weights = [1 / (1 + rank) for rank in range(len(words))]
    return [" ".join(draw.choices(words, weights, k=draw.randint(2, 12))) + draw.choice(".!?,") for _ in range(count)]


def random_text(draw: random.Random) -> str:
    """Return a text of parts of words and of odd characters."""
    return "".join(draw.choice(_PARTS if draw.random() < 0.7 else ODD) for _ in range(draw.randint(0, 12)))


TRAINED_ON = made_up_texts(600)


def _bert() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    alphabet = [*"中国日0123.,!?#xz"]
    tokenizer.train_from_iterator(
        TRAINED_ON,
        trainers.WordPieceTrainer(
            show_progress=False, vocab_size=500, special_tokens=special, initial_alphabet=alphabet
        ),
    )
    state = json.loads(tokenizer.to_str())
    vocab = state["model"]["vocab"]
    vocab |= {f"##{character}": len(vocab) + i for i, character in enumerate("中.,3")}
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def _byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(
        TRAINED_ON,
        trainers.BpeTrainer(show_progress=False, vocab_size=700, special_tokens=special, initial_alphabet=alphabet),
    )
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.add_tokens([AddedToken("zenzen", normalized=False)])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=False)
    return tokenizer


def _ignoring_merges() -> Tokenizer:
    """Like Llama 3: a word that is a piece is found whole, without its merges and without its symbols."""
    state = json.loads(_byte_level().to_str())
    state["model"]["ignore_merges"] = True
    merges = state["model"]["merges"]
    state["model"]["merges"] = [pair for i, pair in enumerate(merges) if i % 7]
    return Tokenizer.from_str(json.dumps(state))


def _suffixed() -> Tokenizer:
    """Like CLIP: the end of a word is marked."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>", fuse_unk=True))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    trainer = trainers.BpeTrainer(
        show_progress=False,
        vocab_size=450,
        special_tokens=["<pad>", "<unk>", "<s>", "</s>"],
        end_of_word_suffix="</w>",
    )
    tokenizer.train_from_iterator(TRAINED_ON, trainer)
    tokenizer.post_processor = processors.BertProcessing(("</s>", 3), ("<s>", 2))
    return tokenizer


def _prefixed() -> Tokenizer:
    """The inside of a word is marked."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.BpeTrainer(
        show_progress=False, vocab_size=450, special_tokens=["<pad>", "<unk>"], continuing_subword_prefix="##"
    )
    tokenizer.train_from_iterator(TRAINED_ON, trainer)
    return tokenizer


def _sentencepiece_bpe() -> Tokenizer:
    """Like Llama 2: every way to make a piece of two is a merge, and characters without a piece are bytes."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(TRAINED_ON, trainers.BpeTrainer(show_progress=False, vocab_size=400))
    pieces = sorted(trained.get_vocab(), key=trained.get_vocab().get)
    ids = {piece: i for i, piece in enumerate(["<unk>", "<s>", "</s>", *BYTES, *pieces])}
    merges = [
        (piece[:cut], piece[cut:])
        for piece in pieces
        for cut in range(1, len(piece))
        if piece[:cut] in ids and piece[cut:] in ids
    ]
    tokenizer = Tokenizer(models.BPE(ids, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>", "<pad>"])
    tokenizer.post_processor = processors.Sequence(
        [processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B:1", special_tokens=[("<s>", 1)])]
    )
    return tokenizer


def _unigram(byte_fallback: bool = False) -> Tokenizer:
    """Like XLM-R, or with single bytes for characters without a piece."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(
        show_progress=False, vocab_size=300, special_tokens=special, unk_token="<unk>", initial_alphabet=[*"▁#中É"]
    )
    tokenizer.train_from_iterator(TRAINED_ON, trainer)
    if byte_fallback:
        pieces = json.loads(tokenizer.to_str())["model"]["vocab"]
        pieces += [(byte, 0.0) for byte in BYTES]
        tokenizer.model = models.Unigram([tuple(piece) for piece in pieces], unk_id=3, byte_fallback=True)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    tokenizer.add_special_tokens([*special, AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


MADE: dict[str, Callable[[], Tokenizer]] = {
    "wordpiece": _bert,
    "byte-level": _byte_level,
    "ignoring-merges": _ignoring_merges,
    "suffixed": _suffixed,
    "prefixed": _prefixed,
    "sentencepiece-bpe": _sentencepiece_bpe,
    "unigram": _unigram,
    "unigram-bytes": lambda: _unigram(byte_fallback=True),
}


@cache
def whole_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of a kind, as a test must not change it."""
    backend = MADE[kind]()
    has = backend.get_vocab()
    names = {"pad": ("[PAD]", "<pad>"), "unk": ("[UNK]", "<unk>"), "cls": ("[CLS]", "<s>"), "sep": ("[SEP]", "</s>")}
    names["mask"] = ("[MASK]", "<mask>")
    given = {f"{name}_token": token for name, tokens in names.items() for token in tokens if token in has}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **given)
