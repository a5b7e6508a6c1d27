"""Request bodies: JSON, checked strictly against a msgspec struct, with errors that name the field."""

from collections.abc import Generator
from typing import Any, ClassVar, cast

import msgspec
from litestar.connection import ASGIConnection
from litestar.dto import AbstractDTO
from litestar.dto.data_structures import DTOFieldDefinition
from litestar.exceptions import ClientException
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition

from controlplane.protocols.base import UNREADABLE, located
from flockpy.errors import BadRequest


class JsonBody(AbstractDTO[Any]):
    """Decodes the `data` argument of a handler in one strict step; litestar's own way turns "5" into 5."""

    _decoders: ClassVar[dict[str, msgspec.json.Decoder[Any]]] = {}

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None
    ) -> None:
        cls._decoders[handler_id] = msgspec.json.Decoder(field_definition.annotation)

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any
    ) -> Reference | Schema:
        return schema_creator.for_field_definition(field_definition)

    @property
    def _connection(self) -> ASGIConnection[Any, Any, Any, Any]:
        return cast("ASGIConnection[Any, Any, Any, Any]", self.asgi_connection)  # pyright: ignore[reportUnknownMemberType]

    def decode_bytes(self, value: bytes) -> Any:
        """The struct in a body. Raises BadRequest when it is no JSON or not of the handler's shape."""
        kind = self._connection.headers.get("content-type", "application/json").partition(";")[0].strip()
        if kind.lower() != "application/json":
            raise ClientException(
                "The body must be JSON, with content-type: application/json.", status_code=415
            )
        try:
            return self._decoders[self._connection.route_handler.handler_id].decode(value)
        except msgspec.ValidationError as error:
            raise invalid(str(error)) from error
        except UNREADABLE as error:
            raise BadRequest(f"The body is not valid JSON: {error}") from error

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        return False


def invalid(message: str, *, within: str = "") -> BadRequest:
    """A msgspec validation message as an error that names the field, such as ``models[0]``."""
    said, path = located(message, within)
    said = f"{said[0].lower()}{said[1:]}".replace(
        "expected `str` matching regex", "expected text that matches"
    )
    return BadRequest(f"{path or 'the body'}: {said}.", field=path or None)
