"""What an agent can call: the tool protocol, the one call grammar, and the tools themselves."""

from thinkact.tools.base import (
    ErrorKind,
    Tool,
    ToolCall,
    ToolContext,
    ToolResult,
    clip,
    sample_call,
    tool_schema,
)
from thinkact.tools.parse import parse_action

__all__ = [
    "ErrorKind",
    "Tool",
    "ToolCall",
    "ToolContext",
    "ToolResult",
    "clip",
    "parse_action",
    "sample_call",
    "tool_schema",
]
