"""Lets `prefect deployment run build-expert-ad` name a deployment without its flow.

Prefect's commands want `<flow>/<deployment>`. This plugin, loaded through Prefect's own entry point where
`[tool.prefect.plugins] enabled = true` stands in the working directory's pyproject.toml, reads a bare name as
`<name>/<name>`, which is how this project names flow and deployment. Names with a slash are left alone.
"""

from __future__ import annotations

from typing import Any

from prefect.plugins import HookContext, register_hook


@register_hook
def setup_environment(*, ctx: HookContext) -> None:
    """Teach Prefect's clients to read a bare name."""
    from prefect.client.orchestration import PrefectClient, SyncPrefectClient

    for client in (PrefectClient, SyncPrefectClient):
        read: Any = client.read_deployment_by_name
        if not getattr(read, "reads_bare_names", False):
            client.read_deployment_by_name = _reading_bare_names(read)  # type: ignore[method-assign]


def _reading_bare_names(read: Any) -> Any:
    def read_deployment_by_name(self: Any, name: str) -> Any:
        return read(self, name if "/" in name else f"{name}/{name}")

    read_deployment_by_name.reads_bare_names = True  # type: ignore[attr-defined]
    return read_deployment_by_name
