"""The student: the teacher's family and tokenizer at another size."""

import copy
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from hornbook.errors import HornbookError, one_line
from hornbook.models.families import (
    HEAD_WIDTH_SETTINGS,
    KEY_HEADS,
    LAYER_KINDS,
    LAYER_WINDOWS,
    WIDTH_SETTINGS,
    Sizes,
    defaults_of,
    family_of,
    key_widths,
    set_dropout,
    size_values,
    sizes_of,
)
from hornbook.models.loading import check_rows, load_encoder, refuse_pickles
from hornbook.models.probe import check_padding, check_settings, check_taps, random_encoder
from hornbook.models.source import Model, load_config, model_key, model_path
from hornbook.models.taps import base_encoder
from hornbook.models.tokenizers import tokenizer_key
from hornbook.recipe import WHOLE_VOCABULARY, FamilyConfig, StudentConfig

HEAD_WIDTH = 32
RANDOM, LAYERS, PROJECTED = "random", "layers", "projected"
STARTS = (RANDOM, LAYERS, PROJECTED)
# A teacher saved in half precision must not make a student in half precision.
_NOT_INHERITED = (
    *("_name_or_path", "architectures", "auto_map", "dtype", "torch_dtype"),
    *("id2label", "label2id", "num_labels", "problem_type"),
)


def student_config(teacher_config: Any, student: StudentConfig, family: FamilyConfig | None = None) -> Any:
    """Return the Hugging Face configuration of a student for this teacher.

    By default a random student has hidden / 32 heads (as MiniLM: 12 for 384), or the next lower number that divides
    the width, and the family's multiple as feed-forward width (see `FamilyDefaults.feed_forward`). A student made
    from the teacher's layers has the teacher's widths, and a projection of the teacher has its heads' width. One that
    starts from another model has that model's sizes.

    Args:
        teacher_config: the teacher's configuration.
        student: its sizes and initial weights.
        family: the teacher's, if not in the table.

    Returns:
        the student's configuration, of the teacher's class.

    Raises:
        HornbookError: the sizes do not fit together, the family is unknown, or the model to start from cannot be
            loaded, or has another family, vocabulary or size.
    """
    if student.init == RANDOM:
        return _random_config(teacher_config, student, family)
    if student.init == LAYERS:
        return _copied_config(teacher_config, student, family)
    if student.init == PROJECTED:
        return _projected_config(teacher_config, student, family)
    config = _begin(load_config, student.init)
    if config.model_type != teacher_config.model_type:
        raise HornbookError(
            f"student.init: {student.init} is a {config.model_type} model, but the teacher is a "
            f"{teacher_config.model_type} model"
        )
    if config.vocab_size != teacher_config.vocab_size:
        raise HornbookError(
            f"student.init: {student.init} has a vocabulary of {config.vocab_size} word pieces, but the teacher "
            f"has one of {teacher_config.vocab_size}; both must have the same"
        )
    _check_agreement(student, sizes_of(config, family), f"{student.init}, named in student.init,")
    set_dropout(config, student.dropout, family)
    return config


def check_student(teacher: Model, student: StudentConfig, family: FamilyConfig | None = None) -> Any:
    """Check, before anything expensive runs, that a student can be made for this teacher; return its configuration.

    Beyond `student_config`: the folders of the models have weights, a model to start from has the teacher's
    tokenizer, and on small models with these settings the taps are queries, keys and values.

    Args:
        teacher: an artefact, a folder or a hub name.
        student: its sizes and initial weights.
        family: the teacher's, if not in the table.

    Returns:
        the student's Hugging Face configuration.

    Raises:
        HornbookError: it cannot.
    """
    teacher_config = load_config(teacher)
    config = student_config(teacher_config, student, family)
    refuse_pickles(model_path(teacher))
    if student.init not in STARTS:
        refuse_pickles(student.init)
        if _begin(tokenizer_key, student.init) != tokenizer_key(teacher):
            raise HornbookError(
                f"student.init: {student.init} has another tokenizer than the teacher, and would read other tokens"
            )
    check_rows(model_path(teacher))
    check_padding(teacher_config)
    check_taps(teacher_config, family)
    try:
        check_settings(config)
        check_taps(config, family)
    except HornbookError as error:
        raise HornbookError(f"student: {error}") from None
    return config


def new_student(
    teacher_config: Any,
    student: StudentConfig,
    seed: int,
    family: FamilyConfig | None = None,
    *,
    head: Mapping[str, Any] | None = None,
    encoder: Any = None,
) -> Any:
    """Return a student. Its random weights depend on its sizes and `seed` only.

    Args:
        teacher_config: the teacher's configuration.
        student: its sizes and initial weights.
        seed: the seed of its random weights.
        family: the teacher's, if not in the table.
        head: the labels (`label_settings`) of a head with random weights; by default it is a base encoder.
        encoder: the teacher, from which `init: layers` copies, with or without a head.

    Returns:
        a base encoder, or a classifier if `head` is given, in float32.

    Raises:
        HornbookError: see `student_config`.
    """
    if student.init == PROJECTED:
        raise HornbookError("student.init: a projected student is made on a sample of texts, by projected_student")
    config = student_config(teacher_config, student, family)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if student.init == RANDOM:
            base = random_encoder(config)
        elif student.init == LAYERS:
            base = _copied_layers(base_encoder(encoder), config, family)
        else:
            base = load_encoder(student.init, dropout=student.dropout, family=family)
        return base if head is None else _with_head(base, head)


def init_key(student: StudentConfig) -> str | None:
    """Return the key of the model that a student starts from; None if it starts from random weights or its teacher.

    Args:
        student: its initial weights.

    Returns:
        a content key (see `model_key`).

    Raises:
        HornbookError: there is no such model, or the student is to have fewer word pieces (see `refuse_vocabulary`).
    """
    refuse_vocabulary(student)
    return None if student.init in STARTS else str(_begin(model_key, student.init))


def refuse_vocabulary(student: StudentConfig) -> None:
    """Refuse a vocabulary of the student's own: it reads as its teacher does, which a recipe trims before.

    Args:
        student: its settings.

    Raises:
        HornbookError: its vocabulary is not `all`.
    """
    if student.vocabulary != WHOLE_VOCABULARY:
        raise HornbookError(
            f"student.vocabulary: {student.vocabulary}, but only a recipe (`hornbook run`) has the task and the "
            f"textbooks to choose word pieces from; set it to {WHOLE_VOCABULARY} here, where a student has its "
            "teacher's"
        )


def even_layers(wanted: int, of: int) -> list[int]:
    """Return which of a teacher's layers to copy, counted from 0: first, last, and the rest at even spacing.

    Student layer i is teacher layer i (of - 1) / (wanted - 1), rounded, halves up: 4 of 12 are 0, 4, 7, 11; 6 of 12
    are 0, 2, 4, 7, 9, 11, as in DistilBERT (Sanh et al. 2019). A single layer is the first.
    """
    if wanted == 1:
        return [0]
    return [(2 * i * (of - 1) + wanted - 1) // (2 * (wanted - 1)) for i in range(wanted)]


def block_ends(wanted: int, of: int) -> list[int]:
    """Return the layers of a teacher that a projected student stands for, counted from 0: the last of equal blocks.

    3 of 6 are 1, 3, 5. Each of the student's layers goes from the hidden states at the end of a block to those at the
    end of the next.
    """
    return [(2 * (i + 1) * of + wanted) // (2 * wanted) - 1 for i in range(wanted)]


def _random_config(teacher_config: Any, student: StudentConfig, family: FamilyConfig | None) -> Any:
    defaults = defaults_of(teacher_config)
    legal = [n for n in range(1, student.hidden + 1) if _divides(n, student.hidden, defaults.rotary)]
    if not legal:
        raise HornbookError(f"student.hidden: {student.hidden} is odd, but these heads take an even width")
    heads = student.heads or max(n for n in legal if n <= max(1, student.hidden // HEAD_WIDTH))
    if heads not in legal:
        listed = ", ".join(str(n) for n in legal if student.hidden // n >= 8)
        raise HornbookError(
            f"student.heads: {heads} heads do not divide a width of {student.hidden}"
            f"{' into even parts' if defaults.rotary else ''}; legal are {listed}"
        )
    feed_forward = student.feed_forward or int(defaults.feed_forward * student.hidden)
    values = _inherited(teacher_config)
    for name in WIDTH_SETTINGS:
        if name in values:
            values[name] = student.hidden
    for name in HEAD_WIDTH_SETTINGS:
        values.pop(name, None)
    if values.get(KEY_HEADS) is not None:
        queries, keys = key_widths(teacher_config, family)
        # As many queries share a key as in the teacher, if that number divides the student's heads.
        values[KEY_HEADS] = heads // math.gcd(queries // keys, heads)
    kinds = values.pop(LAYER_KINDS, None)
    if kinds and student.layers <= len(kinds):  # a deeper student gets its family's own pattern
        values[LAYER_KINDS] = kinds[: student.layers]
    if isinstance(windows := values.get(LAYER_WINDOWS), list):
        values[LAYER_WINDOWS] = [windows[min(layer, len(windows) - 1)] for layer in range(student.layers)]
    return _config(
        teacher_config, values, Sizes(student.layers, student.hidden, heads, feed_forward), student, family
    )


def _copied_config(teacher_config: Any, student: StudentConfig, family: FamilyConfig | None) -> Any:
    has = sizes_of(teacher_config, family)
    if student.layers > has.layers:
        raise HornbookError(
            f"student.layers: {student.layers}, but the teacher, whose layers are copied, has {has.layers}"
        )
    sizes = Sizes(**{**asdict(has), "layers": student.layers})
    _check_agreement(student, sizes, "the teacher, whose layers are copied,")
    values = _inherited(teacher_config)
    for name in (LAYER_KINDS, LAYER_WINDOWS):
        if isinstance(of_layers := values.get(name), list):
            values[name] = [of_layers[layer] for layer in even_layers(student.layers, has.layers)]
    return _config(teacher_config, values, sizes, student, family)


def _projected_config(teacher_config: Any, student: StudentConfig, family: FamilyConfig | None) -> Any:
    has = sizes_of(teacher_config, family)
    group = has.heads // int(getattr(teacher_config, KEY_HEADS, None) or has.heads)
    unit = has.hidden // has.heads * group  # heads that share a key stay together
    if student.hidden % unit or student.hidden > has.hidden:
        below = min(student.hidden, has.hidden) // unit * unit
        legal = [str(width) for width in (below, below + unit) if 0 < width <= has.hidden]
        raise HornbookError(
            f"student.hidden: the teacher, of width {has.hidden} in heads of {has.hidden // has.heads}, cannot be "
            f"projected to {student.hidden}; the nearest legal widths are {' and '.join(legal)}"
        )
    heads = has.heads * student.hidden // has.hidden
    wide = min(int(defaults_of(teacher_config).feed_forward * student.hidden), has.feed_forward)
    if student.hidden == has.hidden:
        wide = has.feed_forward
    if student.heads not in (None, heads):
        raise HornbookError(
            f"student.heads: {student.heads}, but a projected student keeps the width of its teacher's heads, which "
            f"makes {heads} of them; set it to {heads} in the recipe"
        )
    for field, wanted, most in (
        ("layers", student.layers, has.layers),
        ("feed_forward", student.feed_forward or wide, has.feed_forward),
    ):
        if wanted > most:
            raise HornbookError(
                f"student.{field}: {wanted}, but the teacher, which is projected, has {most}; set it to at most "
                f"{most}"
            )
    values = _inherited(teacher_config)
    for name in WIDTH_SETTINGS:
        if values.get(name) == has.hidden:
            values[name] = student.hidden
    if values.get(KEY_HEADS) is not None:
        values[KEY_HEADS] = heads // group
    for name in (LAYER_KINDS, LAYER_WINDOWS):
        if isinstance(of_layers := values.get(name), list):
            values[name] = [of_layers[layer] for layer in block_ends(student.layers, has.layers)]
    sizes = Sizes(student.layers, student.hidden, heads, student.feed_forward or wide)
    return _config(teacher_config, values, sizes, student, family)


def _inherited(teacher_config: Any) -> dict[str, Any]:
    values: dict[str, Any] = teacher_config.to_dict()
    for unwanted in _NOT_INHERITED:
        values.pop(unwanted, None)
    return values


def _config(
    teacher_config: Any, values: dict[str, Any], sizes: Sizes, student: StudentConfig, family: FamilyConfig | None
) -> Any:
    sizes_of(teacher_config, family)  # whether the configuration knows these names
    kind = type(teacher_config)
    try:
        config = kind(**{**values, **size_values(family_of(teacher_config, family), sizes)})
    except Exception as error:  # its own checks raise anything
        said = one_line(error, 300)
        raise HornbookError(
            f"student: a {teacher_config.model_type} model of {sizes.layers}x{sizes.hidden} cannot be made of the "
            f"teacher's settings: {said}"
        ) from None
    set_dropout(config, student.dropout, family)
    return config


def _check_agreement(student: StudentConfig, has: Sizes, where: str) -> None:
    for field, size in asdict(has).items():
        wanted = getattr(student, field)
        if wanted is not None and wanted != size:
            raise HornbookError(f"student.{field}: {wanted}, but {where} has {size}; set it to {size} in the recipe")


def _divides(heads: int, hidden: int, rotary: bool) -> bool:
    return hidden % heads == 0 and not (rotary and hidden // heads % 2)


def _begin(load: Any, init: str) -> Any:
    """Load part of the model that a student starts from; name the setting in errors."""
    try:
        return load(init)
    except HornbookError as error:
        raise type(error)(f"student.init is none of {', '.join(STARTS)}: {error}") from None


def _copied_layers(teacher: Any, config: Any, family: FamilyConfig | None) -> Any:
    """Return an encoder with the teacher's weights; parts that the teacher lacks (a pooler) are random."""
    student = random_encoder(config)
    own = teacher.state_dict()
    before_layer, per_layer, _ = family_of(config, family).attention.partition("{layer}")
    picked = even_layers(sizes_of(config, family).layers, sizes_of(teacher.config, family).layers)
    state = {}
    for name in student.state_dict():
        source = name
        if per_layer and name.startswith(before_layer):
            layer, rest = name.removeprefix(before_layer).split(".", 1)
            source = f"{before_layer}{picked[int(layer)]}.{rest}"
        if source in own:
            state[name] = own[source]
    student.load_state_dict(state, strict=False)
    return student


def _with_head(base: Any, head: Mapping[str, Any]) -> Any:
    """Return a classifier around the weights of a base encoder."""
    from transformers import AutoModelForSequenceClassification

    config = copy.deepcopy(base.config)
    for name, value in head.items():
        setattr(config, name, value)
    classifier: Any = AutoModelForSequenceClassification.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]
    inner = base_encoder(classifier)
    state = base.state_dict()
    # The base encoder may have a pooler that its family's classifier lacks, or the reverse.
    inner.load_state_dict(state, strict=False)
    return classifier
