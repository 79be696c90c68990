"""The connections that attend, for those that are made of another: which of them, and how it is built."""

from __future__ import annotations

from typing import Annotated, assert_never

from pydantic import Field

from isthmus.model.connections import (
    coverage,
    global_attention,
    interactive_attention,
    joint_attention,
    local_attention,
    multi_head_attention,
)
from isthmus.model.connections.connection import Connection
from isthmus.model.connections.coverage import CoverageConfig
from isthmus.model.connections.global_attention import GlobalAttentionConfig
from isthmus.model.connections.interactive_attention import InteractiveAttentionConfig
from isthmus.model.connections.joint_attention import JointAttentionConfig
from isthmus.model.connections.local_attention import LocalAttentionConfig
from isthmus.model.connections.multi_head_attention import MultiHeadAttentionConfig
from isthmus.model.sizes import Sizes

AttentionConfig = Annotated[
    MultiHeadAttentionConfig
    | GlobalAttentionConfig
    | LocalAttentionConfig
    | CoverageConfig
    | InteractiveAttentionConfig
    | JointAttentionConfig,
    Field(discriminator="kind"),
]


def build_attention(config: AttentionConfig, sizes: Sizes) -> Connection:
    """One connection that attends.

    Raises:
        ConfigError: heads do not divide as they must, or a similarity cannot compare vectors of these sizes.
    """
    match config:
        case MultiHeadAttentionConfig():
            return multi_head_attention.build(config, sizes)
        case GlobalAttentionConfig():
            return global_attention.build(config, sizes)
        case LocalAttentionConfig():
            return local_attention.build(config, sizes)
        case CoverageConfig():
            return coverage.build(config, sizes)
        case InteractiveAttentionConfig():
            return interactive_attention.build(config, sizes)
        case JointAttentionConfig():
            return joint_attention.build(config, sizes)
        case other:
            assert_never(other)
