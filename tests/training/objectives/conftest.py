"""A small textbook, and a mask of random lengths."""

import pytest
import torch

from hornbook import corpus, textbook
from hornbook.recipe import CorpusConfig, GeneralConfig


@pytest.fixture(scope="session")
def small_book(tmp_path_factory, general_text):
    folder = tmp_path_factory.mktemp("book")
    units = corpus.build(CorpusConfig(sources=(str(general_text),)), folder / "corpus")
    return textbook.build(GeneralConfig(units=200), corpus=units, out=folder / "book")


@pytest.fixture(scope="session")
def random_mask():
    def mask(random, sequences, length):
        lengths = torch.randint(1, length + 1, (sequences,), generator=random)
        lengths[0] = length
        return (torch.arange(length) < lengths[:, None]).long()

    return mask
