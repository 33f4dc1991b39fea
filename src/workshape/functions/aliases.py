"""The aliases there are: durable, each pointing at versions that exist."""

from collections.abc import Callable, Container

import msgspec

from workshape.errors import Conflict, NotFound
from workshape.functions.alias import Alias, InvalidRouting, check_routing
from workshape.functions.belongings import Belongings
from workshape.functions.function import Runnable
from workshape.functions.function_name import FunctionReference
from workshape.functions.model import FunctionName
from workshape.functions.revision import check_revision, new_revision
from workshape.store.documents import Documents

DOCUMENT_KIND = "function-alias"


class AliasNotFound(NotFound):
    """Cannot find alias arn: {name}"""


class AliasExists(Conflict):
    """Alias already exists: {arn}"""

    arn: str


class Aliases:
    """Every function's aliases. Used on the event loop's thread; a change is on disk when its method returns."""

    def __init__(
        self,
        store: Documents,
        functions: Container[FunctionName],
        *,
        find: Callable[[FunctionReference], Runnable],
        arn: Callable[[FunctionName, str], str],
        changed: Callable[[FunctionName], None],
    ) -> None:
        """`find` and `arn` are the catalogue's; `changed` hears of every change."""
        self._aliases = Belongings(store, DOCUMENT_KIND, Alias, functions)
        self._find = find
        self._arn = arn
        self._changed = changed

    def __repr__(self) -> str:
        return f"<Aliases {len(self._aliases.all())}>"

    def find(self, reference: FunctionReference) -> Alias | None:
        """Return the alias that a reference's qualifier is, if it is one."""
        return None if reference.qualifier is None else self._aliases.get(reference.name, reference.qualifier)

    def of(self, name: FunctionName) -> list[Alias]:
        """A function's aliases, by name."""
        return sorted(self._aliases.of(name).values(), key=lambda alias: alias.name)

    def get(self, name: FunctionName, alias_name: str) -> Alias:
        """Return an alias.

        Raises:
            AliasNotFound, FunctionNotFound: there is no such alias, or no such function.
        """
        self._find(FunctionReference(name, None))
        alias = self._aliases.get(name, alias_name)
        if alias is None:
            raise AliasNotFound(kind="alias", name=self._arn(name, alias_name))
        return alias

    def create(self, name: FunctionName, alias: Alias) -> Alias:
        """Add an alias; its revision is given here.

        Raises:
            AliasExists: the name is taken.
            FunctionNotFound: a version it points at is not there. InvalidRouting: two do not go together.
        """
        if self._aliases.get(name, alias.name) is not None:
            raise AliasExists(arn=self._arn(name, alias.name))
        return self._keep(name, alias)

    def update(self, name: FunctionName, alias: Alias, *, expected_revision: str | None = None) -> Alias:
        """Replace an alias by its name; it gets a new revision.

        Raises:
            AliasNotFound, RevisionMismatch: nothing was changed.
            FunctionNotFound, InvalidRouting: see `create`.
        """
        check_revision(self.get(name, alias.name).revision, expected_revision)
        return self._keep(name, alias)

    def delete(self, name: FunctionName, alias_name: str) -> None:
        """Remove an alias.

        Raises:
            AliasNotFound, FunctionNotFound: there is none.
        """
        self.get(name, alias_name)
        self._aliases.delete(name, alias_name)
        self._changed(name)

    def drop(self, name: FunctionName) -> None:
        """Remove those of a function that is gone."""
        self._aliases.drop(name)

    def _keep(self, name: FunctionName, alias: Alias) -> Alias:
        check_routing(alias)
        versions = [self._find(FunctionReference(name, version)) for version in alias.versions]
        if len({version.configuration.role for version in versions}) > 1:
            raise InvalidRouting(reason="both versions must have the same execution role.")
        kept = self._aliases.put(name, alias.name, msgspec.structs.replace(alias, revision=new_revision()))
        self._changed(name)
        return kept
