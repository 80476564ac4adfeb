"""Prefect flows: order, concurrency, retries and artifacts of the build; no rule of the domain."""
