"""`/v1/documents`: files that owners send, and what became of every file.

A file streams to the disk while it comes in, and is on it before its job is acknowledged; what a
form holds beyond a limit is refused as it comes. Forms are read by multipart.py, files kept by
wheel/uploads.py.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from flywheel.records import Fate, to_json
from flywheel.serve import multipart
from flywheel.serve.auth import Owner
from flywheel.serve.errors import ApiError
from flywheel.serve.jobs import JobOut, Limit, job_data
from flywheel.serve.multipart import DataPiece, FieldPiece, FilePiece
from flywheel.serve.service import Service, Serving
from flywheel.serve.shapes import ERRORS
from flywheel.store.documents import StagedDocument
from flywheel.store.jobs import AddArguments, Job
from flywheel.wheel import jobs, uploads
from flywheel.wheel.documents import acts as document_acts
from flywheel.wheel.incoming import Incoming, left_out
from flywheel.wheel.keys import Caller
from flywheel.wheel.workspace import Workspace

router = APIRouter(prefix="/v1", tags=["documents"], responses=ERRORS)

MAX_FILES = 100
"""Of one form."""

_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "additionalProperties": False,
                    "properties": {
                        "files": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": MAX_FILES,
                            "items": {"type": "string", "format": "binary"},
                            "description": "Documents, or archives of some.",
                        },
                        "access": {
                            "type": "array",
                            "items": {"type": "string", "minLength": 1, "maxLength": 100},
                            "description": "The labels of whoever may read them; none: everybody.",
                        },
                    },
                },
                "encoding": {"access": {"style": "form", "explode": True}},
                "examples": {
                    "handbook": {
                        "summary": "Two files for the staff",
                        "value": {"files": ["handbook.pdf", "手册.docx"], "access": ["staff"]},
                    }
                },
            }
        },
    }
}


class LeftOut(BaseModel):
    """A file that is not kept."""

    name: str
    reason: str


class UploadOut(JobOut):
    """The job that stages what was uploaded."""

    left_out: list[LeftOut]


class DocumentOut(BaseModel):
    """What became of one file."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "object": "document",
                    "id": "5f0c6a6d7be1d2c3a4f5",
                    "source": "upload:efa1f375d7619434",
                    "path": "手册.docx",
                    "fate": "kept",
                    "reason": "",
                    "passages": 12,
                    "access": ["public"],
                }
            ]
        }
    )

    object: Literal["document"]
    id: str
    source: str = Field(description="What was added; `upload:…` where it was uploaded.")
    path: str
    fate: Fate
    reason: str
    passages: int
    access: list[str]


class DocumentList(BaseModel):
    """Documents by source and path."""

    object: Literal["list"]
    data: list[DocumentOut]
    has_more: bool


@router.post(
    "/documents",
    status_code=202,
    response_model=UploadOut,
    summary="Upload documents",
    openapi_extra=_FORM,
)
async def upload(service: Serving, caller: Owner, request: Request) -> Response:
    """Keeps files, and lets the worker stage them; they are answered from after the next turn.

    A file of a name that is there already, under the same labels, is that file's next edition.
    """
    async with service.limits.admitted(caller.key):
        pass  # it counts, but holds no place while it comes in
    form = _Form(service)
    try:
        async for piece in multipart.pieces(request):
            await form.take(piece)
        access = _labels(form.access, caller)
        if not form.files:
            raise _nothing(form.left_out)
        job = await service.run(_keep, service.workspace, form.files, access, caller)
    finally:
        form.discard()
    return JSONResponse(job_data(job) | {"left_out": form.left_out}, 202)


@router.get("/documents", response_model=DocumentList, summary="List documents")
async def list_documents(
    service: Serving,
    caller: Owner,
    limit: Limit = 20,
    after: Annotated[str, Query(description="Goes on behind the document of this id.")] = "",
) -> Response:
    """Lists every file that was added, with what became of it."""
    async with service.limits.admitted(caller.key):
        before = await _find(service, caller, after) if after else None
        if after and before is None:
            raise ApiError(400, "after: there is no such document.", param="after")
        found = await service.run(
            uploads.list_documents, service.workspace, limit + 1, before, caller.access
        )
    return JSONResponse(
        {
            "object": "list",
            "data": [_row(each) for each in found[:limit]],
            "has_more": len(found) > limit,
        }
    )


@router.delete(
    "/documents/{id}", status_code=202, response_model=JobOut, summary="Delete an upload"
)
async def delete(service: Serving, caller: Owner, id: str) -> Response:
    """Deletes an uploaded file. It stops showing once the job is done, which waits for a turn that
    is under way; `flywheel erase --source` takes it from all that was learned of it, too."""
    async with service.limits.admitted(caller.key):
        document = await _find(service, caller, id)
        if document is None:
            raise ApiError(
                404,
                "There is no such document. GET /v1/documents lists them.",
                code="document_not_found",
            )
        job = await service.run(document_acts.delete, service.workspace, document, caller)
    return JSONResponse(job_data(job), 202)


class _Form:
    """What came in so far of a form with files."""

    def __init__(self, service: Service) -> None:
        self.files: list[Incoming] = []
        self.left_out: list[dict[str, str]] = []
        self.access: list[str] = []
        self._service = service
        self._current: Incoming | None = None
        self._max_bytes = service.settings.max_upload_megabytes * 2**20

    async def take(self, piece: multipart.Piece) -> None:
        """Takes in a piece.

        Raises:
            ApiError: 400, it has no place here; 413, it is too large.
            StoreError: the disk does not take it.
        """
        if isinstance(piece, FieldPiece):
            _check_field(piece.name, "access", 'Send "access" labels as fields, "files" as files.')
            self.access.append(piece.value)
        elif isinstance(piece, FilePiece):
            _check_field(piece.name, "files", 'Send files under the name "files".')
            await self._begin(piece.given)
        elif self._current:
            await self._go_on(self._current, piece)

    def discard(self) -> None:
        """Deletes what is not kept."""
        for each in self.files:
            each.discard()

    async def _begin(self, given: str) -> None:
        self._current = None
        if len(self.files) + len(self.left_out) == MAX_FILES:
            raise ApiError(400, f"A form may hold {MAX_FILES} files.", param="files")
        workspace = self._service.workspace
        reason = await self._service.run(left_out, workspace, given)
        if reason:
            shown = given.encode("utf-8", "backslashreplace").decode()
            self.left_out.append({"name": shown, "reason": reason})
            return
        self._current = Incoming(workspace, given)
        self.files.append(self._current)

    async def _go_on(self, file: Incoming, piece: DataPiece) -> None:
        if file.size + len(piece.data) > self._max_bytes:
            raise ApiError(
                413,
                f"{file.name} is too large. [serve] max_upload_megabytes in flywheel.toml says "
                "how large a file may be.",
                code="file_too_large",
                param="files",
            )
        if not await self._service.run(file.write, piece.data):
            raise ApiError(
                413,
                "All uploads together would be too large. Delete some, or raise [serve] "
                "upload_quota_megabytes in flywheel.toml.",
                code="upload_quota",
                param="files",
            )


def _check_field(name: str, wanted: str, message: str) -> None:
    if name != wanted:
        raise ApiError(400, message, param=name)


def _labels(given: list[str], caller: Caller) -> tuple[str, ...]:
    """The labels of an upload, which must be the caller's own."""
    access = uploads.labels_of(given)
    if not document_acts.may_label(access, caller):
        raise ApiError(
            403, "A key uploads only under labels that it may read.", param="access", code="labels"
        )
    return access


def _nothing(left_out: list[dict[str, str]]) -> ApiError:
    if left_out:
        first = left_out[0]
        message = f"Nothing is kept. {first['name'][:100]}: {first['reason']}."
        return ApiError(400, message, param="files")
    return ApiError(400, 'The form holds no file. Send some under the name "files".', param="files")


def _keep(
    workspace: Workspace, files: list[Incoming], access: tuple[str, ...], caller: Caller
) -> Job:
    names = uploads.keep(workspace, files, access)
    return jobs.submit(workspace, AddArguments(access=access, files=names), caller)


async def _find(service: Service, caller: Caller, id: str) -> StagedDocument | None:
    return await service.run(uploads.find, service.workspace, id, caller.access)


def _row(each: uploads.Listed) -> dict[str, Any]:
    return (
        {"object": "document", "id": each.id} | to_json(each.file) | {"access": list(each.access)}
    )
