"""Lists in pages."""

from base64 import urlsafe_b64encode

import pytest

from workshape.aws.pages import InvalidNextToken, page


def test_pages_follow_one_another_until_there_is_no_more() -> None:
    first = page({}, "Names", "abc", str.upper, size=2, token="Marker")
    rest = page({"Marker": first["Marker"]}, "Names", "abc", str.upper, size=2, token="Marker")

    assert first["Names"] == ["A", "B"]
    assert rest == {"Names": ["C"]}


@pytest.mark.parametrize("token", ["%", "bm9uZQ==", urlsafe_b64encode(b"-1").decode()])
def test_what_is_no_token_of_an_earlier_answer_is_refused(token: str) -> None:
    with pytest.raises(InvalidNextToken, match="NextToken"):
        page({"NextToken": token}, "Names", "abc", str.upper, size=2)
