"""Images given to functions: found out at once, brought and unpacked in the background, as Lambda does.

A function is Pending until its first image is ready. An update leaves the function as it was, invocable, until the new
image is ready. Both are gone on with after a restart.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterator

import msgspec

from workshape.errors import CallerError, Conflict, PlatformError
from workshape.functions.catalog import Catalog
from workshape.functions.code import Code
from workshape.functions.configuration import FunctionConfiguration
from workshape.functions.function import Function, Runnable
from workshape.functions.function_name import FunctionNotFound
from workshape.functions.function_state import (
    ACTIVE,
    PENDING,
    UPDATING,
    FunctionState,
    creation_failed,
    update_failed,
)
from workshape.functions.images.blob import ImageNotFound
from workshape.functions.images.model import Image
from workshape.functions.images.reference import Digest, hexadecimal
from workshape.functions.images.registry import ImageAccessDenied
from workshape.functions.images.store import ImageStore
from workshape.functions.model import FunctionName
from workshape.functions.revision import check_revision
from workshape.store.documents import Documents

DOCUMENT_KIND = "image-update"

_log = logging.getLogger(__name__)


class ImageNotDeployed(Conflict):
    """The operation cannot be performed: the image of {function} could not be deployed. {reason}"""

    function: str
    reason: str


class _Update(msgspec.Struct, frozen=True):
    """An update that waits for its image."""

    image: Image
    architectures: tuple[str, ...]


class Deployments:
    """Every function's image, and what is under way. Used on the event loop's thread."""

    def __init__(self, images: ImageStore, documents: Documents, catalog: Catalog) -> None:
        """Remove what no function uses; `resume` goes on with what an earlier run has begun."""
        self._images = images
        self._documents = documents
        self._catalog = catalog
        self._tasks: dict[FunctionName, asyncio.Task[None]] = {}
        self._restoring: set[asyncio.Task[None]] = set()
        catalog.subscribe(lambda name, _revision: self._changed(name))
        updates = [update.image for _, update in self._updates()]
        images.sweep([*self._images_in_use(), *updates])

    def __repr__(self) -> str:
        return f"<Deployments under_way={len(self._tasks)}>"

    def resume(self) -> None:
        """Bring the images that are not here yet."""
        for function in self._catalog.list():
            image = function.code.image
            if image is not None and not self._images.is_ready(image):
                self._begin_creation(function, image)
        for image in self._images_in_use():  # those of published versions are not here only if the disk has lost them
            if not self._images.is_ready(image):
                task = asyncio.get_running_loop().create_task(self._restore(image))
                self._restoring.add(task)
                task.add_done_callback(self._restoring.discard)
        for name, update in self._updates():
            self._begin_update(name, update)

    async def create(
        self, name: FunctionName, configuration: FunctionConfiguration, uri: str, tags: dict[str, str] | None = None
    ) -> Function:
        """Add a function of an image; it is Pending until the image is ready.

        Raises:
            See `ImageStore.resolve` and `Catalog.create`: there is no function then.
        """
        image = await self._images.resolve(uri, configuration.architectures[0])
        function = self._catalog.create(name, configuration, self._code(image), tags)
        if not self._images.is_ready(image):
            self._begin_creation(function, image)
        return function

    async def resolve(self, function: Function, uri: str, architectures: tuple[str, ...] | None = None) -> Code:
        """Find out which image a function's code would be, at this moment.

        Raises:
            See `ImageStore.resolve`.
        """
        architecture = (architectures or function.configuration.architectures)[0]
        return self._code(await self._images.resolve(uri, architecture))

    def update(
        self,
        name: FunctionName,
        code: Code,
        *,
        architectures: tuple[str, ...] | None = None,
        expected_revision: str | None = None,
    ) -> Function:
        """Give a function other code of `resolve`, as soon as its image is ready; return the function as it will be.

        Raises:
            FunctionNotActive, UpdateInProgress: something is under way.
            RevisionMismatch: the function is another by now.
        """
        function, image = self._catalog.settled(name), code.image
        assert image is not None, "it was made of one"
        if self._images.is_ready(image) or not self._state(name).is_active:
            changed = self._catalog.update_code(
                name, code, architectures=architectures, expected_revision=expected_revision
            )
            self._forget(name)
            if not self._images.is_ready(image):  # it could not be created, so there is no code to leave in place
                self._begin_creation(changed, image)
            return changed
        check_revision(function.revision, expected_revision)
        update = _Update(image, architectures or function.configuration.architectures)
        self._documents.put(DOCUMENT_KIND, name, msgspec.json.encode(update))
        self._begin_update(name, update)
        configuration = msgspec.structs.replace(function.configuration, architectures=update.architectures)
        return msgspec.structs.replace(function, code=code, configuration=configuration)

    async def put_from_app(
        self,
        name: str,
        configuration: FunctionConfiguration,
        uri: str,
        *,
        reserved_concurrency: int | None = None,
    ) -> Function:
        """Create or update a function of the app; it is ready when this returns.

        Raises:
            See `ImageStore.resolve`, `ImageStore.prepare` and `Catalog.put_from_app`.
        """
        image = await self._images.resolve(uri, configuration.architectures[0])
        await self._images.prepare(image)
        function = await self._catalog.put_from_app(
            name, configuration, self._code(image), reserved_concurrency=reserved_concurrency
        )
        self._forget(function.name)
        return function

    async def deployed(self, name: FunctionName) -> Function:
        """Wait until nothing is under way for a function, and return what it is then.

        Raises:
            FunctionNotFound: it was deleted meanwhile. ImageNotDeployed: it is not what it was to become.
        """
        while (task := self._tasks.get(name)) is not None:
            await asyncio.wait([task])
            await asyncio.sleep(0)  # until `_ended` has noted it
        function, state = self._catalog.get(name), self._state(name)
        if state != ACTIVE:
            raise ImageNotDeployed(function=name, reason=state.reason or state.last_update_reason or state.state)
        return function

    async def close(self) -> None:
        """Stop what is under way; `resume` goes on with it in the next run."""
        tasks = [*self._tasks.values(), *self._restoring]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._images.close()

    def _code(self, image: Image) -> Code:
        # AWS: a function of an image has a CodeSize of 0, as seen in the answers of GetFunction.
        return Code(str(self._images.root(image)), hexadecimal(Digest(image.digest)), 0, image=image)

    def _state(self, name: FunctionName) -> FunctionState:
        return self._catalog.unsettled.get(name, ACTIVE)

    def _images_in_use(self) -> Iterator[Image]:
        runnables: Iterator[Runnable] = (
            runnable for function in self._catalog.list() for runnable in self._catalog.versions(function.name)
        )
        return (runnable.code.image for runnable in runnables if runnable.code.image is not None)

    def _updates(self) -> Iterator[tuple[FunctionName, _Update]]:
        for name, document in self._documents.all(DOCUMENT_KIND):
            yield FunctionName(name), msgspec.json.decode(document, type=_Update)

    def _begin_creation(self, function: Function, image: Image) -> None:
        self._catalog.unsettled[function.name] = PENDING
        self._spawn(function.name, self._create(function.name, image))

    def _begin_update(self, name: FunctionName, update: _Update) -> None:
        self._catalog.unsettled[name] = UPDATING
        self._spawn(name, self._update(name, update))

    def _spawn(self, name: FunctionName, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"image of {name}")
        self._tasks[name] = task
        task.add_done_callback(lambda ended: self._ended(name, ended))

    def _ended(self, name: FunctionName, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("image_task_failed", exc_info=error)
            failed = creation_failed if self._state(name) is PENDING else update_failed
            self._catalog.unsettled[name] = failed(str(error), "InternalError")

    async def _create(self, name: FunctionName, image: Image) -> None:
        failure = await self._prepared(image)
        if failure is None:
            del self._catalog.unsettled[name]
        else:
            self._catalog.unsettled[name] = creation_failed(*failure)

    async def _update(self, name: FunctionName, update: _Update) -> None:
        failure = await self._prepared(update.image)
        if failure is None:
            self._catalog.update_code(name, self._code(update.image), architectures=update.architectures)
            del self._catalog.unsettled[name]
        else:
            self._catalog.unsettled[name] = update_failed(*failure)
        self._documents.delete(DOCUMENT_KIND, name)

    async def _restore(self, image: Image) -> None:
        await self._prepared(image)

    async def _prepared(self, image: Image) -> tuple[str, str] | None:
        """Bring and unpack an image; return the reason and its code when that cannot be done."""
        try:
            await self._images.prepare(image)
        except (CallerError, PlatformError, OSError) as error:
            _log.error("image_not_ready", extra={"image": image.resolved_uri, "reason": str(error)})
            return str(error), _reason_code(error)
        return None

    def _changed(self, name: FunctionName) -> None:
        try:
            self._catalog.get(name)
        except FunctionNotFound:
            self._forget(name)

    def _forget(self, name: FunctionName) -> None:
        """Nothing is under way any more for a function that is gone, or has been given another image."""
        self._catalog.unsettled.pop(name, None)
        self._documents.delete(DOCUMENT_KIND, name)
        if (task := self._tasks.pop(name, None)) is not None:
            task.cancel()


def _reason_code(error: Exception) -> str:
    """Source: https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html (StateReasonCode)"""
    if isinstance(error, ImageAccessDenied):
        return "ImageAccessDenied"
    if isinstance(error, ImageNotFound):
        return "ImageDeleted"
    return "InvalidImage" if isinstance(error, CallerError) else "InternalError"
