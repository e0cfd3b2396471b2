"""A student that begins as a projection of its teacher."""

from hornbook.models.projection.build import project

__all__ = ["project"]
