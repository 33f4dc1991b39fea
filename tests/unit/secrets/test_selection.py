"""Which secrets filters choose."""

import pytest

from workshape.secrets.model import Secret
from workshape.secrets.selection import Filter, order_by, select

NOW = 1_700_000_000.0


def secret(name: str, **more: object) -> Secret:
    return Secret(name=name, arn=name, **{"created_at": NOW, "changed_at": NOW, **more})  # type: ignore[arg-type]  # each test's own


SHOP = secret("prod/shop", description="Shop's database", tags={"Team": "blue", "cost": "42"})
MAIL = secret("prod/mail", description="Mail", tags={"team": "Red"})
TEST = secret("test/shop", description="For tests")
ALL = (SHOP, MAIL, TEST)


@pytest.mark.parametrize(
    ("key", "values", "names"),
    [
        ("name", ["prod/"], ["prod/shop", "prod/mail"]),
        ("name", ["PROD/"], []),
        ("name", ["shop"], []),
        ("name", ["prod/mail", "test/"], ["prod/mail", "test/shop"]),
        ("name", ["!prod/"], ["test/shop"]),
        ("description", ["shop's"], ["prod/shop"]),
        ("description", ["database"], []),
        ("tag-key", ["Te"], ["prod/shop"]),
        ("tag-value", ["Red"], ["prod/mail"]),
        ("tag-value", ["red"], []),
        ("primary-region", ["us-"], ["prod/shop", "prod/mail", "test/shop"]),
        ("primary-region", ["eu-"], []),
        ("owning-service", ["rds"], []),
        ("all", ["DATABASE prod"], ["prod/shop"]),
        ("all", ["red mail"], ["prod/mail"]),
    ],
)
def test_a_filter_chooses(key: str, values: list[str], names: list[str]) -> None:
    found = select(ALL, [Filter(key, values)], "us-east-1")

    assert [one.name for one in found] == names


def test_all_filters_hold_at_once() -> None:
    found = select(ALL, [Filter("name", ["prod/"]), Filter("tag-key", ["team"])], "us-east-1")

    assert found == [MAIL]


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("", ["b", "a", "c"]),
        ("created-date", ["b", "a", "c"]),
        ("name", ["a", "b", "c"]),
        ("last-changed-date", ["c", "b", "a"]),
        ("last-accessed-date", ["c", "a", "b"]),
    ],
)
def test_a_list_is_sorted(key: str, names: list[str]) -> None:
    there = [
        secret("a", created_at=2.0, changed_at=9.0, accessed_on=1.0),
        secret("b", created_at=1.0, changed_at=8.0, accessed_on=2.0),
        secret("c", created_at=3.0, changed_at=7.0),
    ]

    assert [one.name for one in sorted(there, key=order_by(key))] == names
