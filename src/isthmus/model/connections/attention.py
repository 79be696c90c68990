"""The connections that attend, for those that are made of another."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from isthmus.model.connections.coverage import CoverageConfig
from isthmus.model.connections.global_attention import GlobalAttentionConfig
from isthmus.model.connections.interactive_attention import InteractiveAttentionConfig
from isthmus.model.connections.joint_attention import JointAttentionConfig
from isthmus.model.connections.local_attention import LocalAttentionConfig
from isthmus.model.connections.multi_head_attention import MultiHeadAttentionConfig

AttentionConfig = Annotated[
    MultiHeadAttentionConfig
    | GlobalAttentionConfig
    | LocalAttentionConfig
    | CoverageConfig
    | InteractiveAttentionConfig
    | JointAttentionConfig,
    Field(discriminator="kind"),
]
