"""What verbs need of the programs of services."""

from handsel.agent.adapters.programs import environment

__all__ = ["environment"]
