"""The lasting part of the cluster's picture at rest."""

from collections.abc import Iterable

import msgspec
from sqlmodel import SQLModel, col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.cluster.durable import Changes, Durable, NodeRecord
from controlplane.cluster.state import Desired, InstalledModel, Role, Why
from controlplane.store import tables
from controlplane.store.db import Database
from flockpy.placement import PlacementSpec


class ClusterTables:
    """What `controlplane.cluster.store` keeps its picture in. Both calls raise DatabaseTrouble."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Durable:
        """Everything kept."""

        async def work(session: AsyncSession) -> Durable:
            models = [_model(row) for row in await session.exec(select(tables.Models))]
            nodes = [_node(row) for row in await session.exec(select(tables.Nodes))]
            desired = [_desired(row) for row in await session.exec(select(tables.Desired))]
            return Durable(
                models={model.id: model for model in models},
                nodes={node.id: node for node in nodes},
                desired={wanted.spec.id: wanted for wanted in desired},
                aliases={row.name: row.model for row in await session.exec(select(tables.Aliases))},
            )

        return await self._database.read(work)

    async def save(self, changes: Changes) -> None:
        """Write `changes` in one transaction; writing the same ones twice is harmless."""
        written: Iterable[SQLModel] = (
            *(_model_row(model) for model in changes.models),
            *(_node_row(node) for node in changes.nodes),
            *(_desired_row(wanted) for wanted in changes.desired),
            *(tables.Aliases(name=name, model=model) for name, model in changes.aliases),
        )
        dropped = (
            delete(tables.Models).where(col(tables.Models.id).in_(changes.dropped_models)),
            delete(tables.Nodes).where(col(tables.Nodes.id).in_(changes.dropped_nodes)),
            delete(tables.Desired).where(col(tables.Desired.placement_id).in_(changes.dropped_desired)),
            delete(tables.Aliases).where(col(tables.Aliases.name).in_(changes.dropped_aliases)),
        )

        async def work(session: AsyncSession) -> None:
            for row in written:
                await session.merge(row)
            for statement in dropped:
                await session.exec(statement)

        await self._database.write(work)


def _model(row: tables.Models) -> InstalledModel:
    return msgspec.json.decode(row.record, type=InstalledModel)


def _model_row(model: InstalledModel) -> tables.Models:
    return tables.Models(id=model.id, record=msgspec.json.encode(model).decode())


def _node(row: tables.Nodes) -> NodeRecord:
    return NodeRecord(row.id, msgspec.convert(row.role, Role), row.created_at, row.draining, row.hostname)


def _node_row(node: NodeRecord) -> tables.Nodes:
    return tables.Nodes(
        id=node.id,
        role=node.role,
        created_at=node.created_at,
        draining=node.draining,
        hostname=node.hostname,
    )


def _desired(row: tables.Desired) -> Desired:
    spec = msgspec.json.decode(row.spec, type=PlacementSpec)
    return Desired(row.node_id, spec, msgspec.convert(row.why, Why))


def _desired_row(wanted: Desired) -> tables.Desired:
    return tables.Desired(
        placement_id=wanted.spec.id,
        node_id=wanted.node_id,
        spec=msgspec.json.encode(wanted.spec).decode(),
        why=wanted.why,
    )
