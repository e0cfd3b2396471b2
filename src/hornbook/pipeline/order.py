"""Which textbooks of a recipe are needed, and in which order they are made."""

from hornbook.recipe import (
    ChainConfig,
    CombinedConfig,
    ContextualizedConfig,
    Recipe,
    SampleConfig,
    TextbookConfig,
)


def chained(name: str, config: TextbookConfig) -> tuple[str, ...]:
    """Return the textbooks that a student learns from, one after another."""
    return config.books if isinstance(config, ChainConfig) else (name,)


def in_order(recipe: Recipe, chosen: dict[str, TextbookConfig]) -> list[tuple[str, TextbookConfig]]:
    """Return the textbooks to build, chosen and needed, each after those it is made from; chains are not built."""
    needed = dict.fromkeys(chosen)
    if recipe.start is not None:
        needed[recipe.start.textbook] = None
    for name in list(needed):
        config = recipe.textbooks[name]
        if isinstance(config, CombinedConfig):
            needed |= dict.fromkeys(config.books)
    if any(isinstance(c := recipe.textbooks[name], SampleConfig) and not c.sized for name in needed):
        whole = [name for name, config in recipe.textbooks.items() if is_whole(config)]
        needed |= dict.fromkeys(whole[:1])
    # In the recipe's order; then the textbooks that are made from others or are as large as another.
    books = [(name, config) for name, config in recipe.textbooks.items() if name in needed]
    single = [(name, config) for name, config in books if not isinstance(config, ChainConfig)]
    return sorted(single, key=lambda item: (isinstance(item[1], CombinedConfig), isinstance(item[1], SampleConfig)))


def is_whole(config: TextbookConfig) -> bool:
    """Return whether other textbooks can be built to the size of this one."""
    return isinstance(config, ContextualizedConfig) and config.proportion == 1
