"""The recipe: one YAML file, one typed model; the docstring under a field is its help.

Each module lists its public names in `__all__`; they are all importable from here.
"""

from hornbook.recipe import (
    data,
    experiment,
    export,
    inference,
    labelling,
    load,
    recipe,
    settings,
    ship,
    suggested,
    textbooks,
    training,
)
from hornbook.recipe.data import *  # noqa: F403
from hornbook.recipe.experiment import *  # noqa: F403
from hornbook.recipe.export import *  # noqa: F403
from hornbook.recipe.inference import *  # noqa: F403
from hornbook.recipe.labelling import *  # noqa: F403
from hornbook.recipe.load import *  # noqa: F403
from hornbook.recipe.recipe import *  # noqa: F403
from hornbook.recipe.settings import *  # noqa: F403
from hornbook.recipe.ship import *  # noqa: F403
from hornbook.recipe.suggested import *  # noqa: F403
from hornbook.recipe.textbooks import *  # noqa: F403
from hornbook.recipe.training import *  # noqa: F403

__all__: list[str] = []
__all__ += data.__all__
__all__ += experiment.__all__
__all__ += export.__all__
__all__ += inference.__all__
__all__ += labelling.__all__
__all__ += load.__all__
__all__ += recipe.__all__
__all__ += settings.__all__
__all__ += ship.__all__
__all__ += suggested.__all__
__all__ += textbooks.__all__
__all__ += training.__all__
