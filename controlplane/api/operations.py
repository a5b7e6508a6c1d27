"""Operations: what has been started and how far it is."""

from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from controlplane.api import shapes
from controlplane.api.paging import Cursor, Limit, page
from controlplane.api.routes import ADMIN, read
from controlplane.api.services import Needs
from flockpy.errors import NotFound


@read(f"{ADMIN}/operations", "List operations, the latest first", may=(404,))
async def list_operations(
    services: Needs, limit: Limit = 100, cursor: Cursor = None
) -> shapes.Page[shapes.Operation]:
    return page(services.operations.list(), limit, cursor, lambda operation: operation.id, shapes.operation)


@read(f"{ADMIN}/operations/{{operation_id:str}}", "Show an operation", may=(404,))
async def show_operation(operation_id: FromPath[str], services: Needs) -> shapes.Operation:
    operation = services.operations.get(operation_id)
    if operation is None:
        raise NotFound("There is no such operation; a restart of the leader forgets them all.")
    return shapes.operation(operation)


HANDLERS: list[HTTPRouteHandler] = [list_operations, show_operation]
