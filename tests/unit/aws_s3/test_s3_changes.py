"""What an answer of S3 says has happened."""

from msgspec.structs import replace

from workshape.aws.s3.changes import EMPTY_ETAG, as_markers, is_quiet, read_changes
from workshape.aws.s3.request import Action, StorageRequest
from workshape.buckets.notification import ObjectChange, ObjectEvent
from workshape.http1.message import Request, Response

XML = '<?xml version="1.0"?>\n'
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def changes(
    action: Action, request: Request | None = None, status: int = 200, body: str = "", version: str = "", **headers: str
) -> list[ObjectChange]:
    asked = StorageRequest(action, "b", "k", {"versionId": version} if version else {})
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return read_changes(asked, request or Request("PUT", "/b/k"), Response(status, pairs), body.encode())


def test_a_put_tells_its_size_before_it_was_cut_into_chunks() -> None:
    plain = changes(Action.PUT, Request("PUT", "/b/k", body=b"12345"), etag='"e"', x_amz_version_id="v")
    chunked = changes(
        Action.PUT, Request("PUT", "/b/k", (("x-amz-decoded-content-length", "5"),), b"5;chunk-signature=0\r\n12345")
    )

    assert plain == [ObjectChange(ObjectEvent.PUT, "k", 5, "e", "v")]
    assert chunked == [ObjectChange(ObjectEvent.PUT, "k", 5)]


def test_what_failed_has_changed_nothing_even_when_the_status_says_200() -> None:
    error = f"{XML}<Error><Code>InternalError</Code></Error>"

    assert changes(Action.PUT, status=403) == []
    assert changes(Action.COPY, body=error) == []
    assert changes(Action.COMPLETE_MULTIPART, body=f"   \n{error}") == []


def test_copies_and_multipart_uploads_have_their_etag_in_the_answer() -> None:
    copied = changes(Action.COPY, body=f"<CopyObjectResult {NAMESPACE}><ETag>&quot;e&quot;</ETag></CopyObjectResult>")
    result = "CompleteMultipartUploadResult"
    completed = changes(
        Action.COMPLETE_MULTIPART,
        body=f'{XML}<{result} {NAMESPACE}><ETag>"e-2"</ETag></{result}>',
        x_amz_version_id="v",
    )

    assert copied == [ObjectChange(ObjectEvent.COPY, "k", None, "e")]
    assert completed == [ObjectChange(ObjectEvent.MULTIPART, "k", None, "e-2", "v")]


def test_a_deletion_makes_a_marker_or_is_for_good() -> None:
    plain = changes(Action.DELETE, status=204)
    marker = changes(Action.DELETE, status=204, x_amz_delete_marker="true", x_amz_version_id="m")
    of_version = changes(Action.DELETE, status=204, version="v", x_amz_delete_marker="true", x_amz_version_id="v")

    assert plain == [ObjectChange(ObjectEvent.DELETE, "k")]
    assert marker == [ObjectChange(ObjectEvent.DELETE_MARKER, "k", None, EMPTY_ETAG, "m")]
    assert of_version == [ObjectChange(ObjectEvent.DELETE, "k", version_id="v")]


def test_many_deletions_are_told_one_by_one() -> None:
    request = Request("POST", "/b?delete", body=b"<Delete><Object><Key>a</Key></Object></Delete>")
    body = (
        f"{XML}<DeleteResult {NAMESPACE}><Deleted><Key>a &amp; b</Key></Deleted>"
        "<Deleted><Key>c</Key><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>m</DeleteMarkerVersionId></Deleted>"
        "<Deleted><Key>d</Key><VersionId>v</VersionId></Deleted>"
        "<Error><Key>e</Key><Code>AccessDenied</Code></Error></DeleteResult>"
    )

    assert changes(Action.DELETE_MANY, request, body=body) == [
        ObjectChange(ObjectEvent.DELETE, "a & b"),
        ObjectChange(ObjectEvent.DELETE_MARKER, "c", None, EMPTY_ETAG, "m"),
        ObjectChange(ObjectEvent.DELETE, "d", version_id="v"),
    ]


def test_quiet_deletions_are_those_asked_for_without_those_that_failed() -> None:
    objects = "<Object><Key>a</Key></Object><Object><Key>b</Key><VersionId>v</VersionId></Object>"
    quiet = f"<Delete {NAMESPACE}><Quiet>true</Quiet>{objects}<Object><Key>c</Key></Object></Delete>"
    request = Request("POST", "/b?delete", body=quiet.encode())
    body = f"<DeleteResult {NAMESPACE}><Error><Key>c</Key><Code>AccessDenied</Code></Error></DeleteResult>"

    found = changes(Action.DELETE_MANY, request, body=body)

    assert is_quiet(request)
    assert found == [ObjectChange(ObjectEvent.DELETE, "a"), ObjectChange(ObjectEvent.DELETE, "b", version_id="v")]
    assert [change.event for change in as_markers(found)] == [ObjectEvent.DELETE_MARKER, ObjectEvent.DELETE]


def test_a_form_tells_its_key_with_the_files_name_in_it() -> None:
    form = (
        '--xx\r\nContent-Disposition: form-data; name="key"\r\n\r\nuploads/${filename}\r\n'
        '--xx\r\nContent-Disposition: form-data; name="file"; filename="cat.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\nmeow\r\n--xx--\r\n"
    )
    request = Request("POST", "/b", (("content-type", 'multipart/form-data; boundary="xx"'),), form.encode())

    assert changes(Action.POST_FORM, request, status=204, etag='"e"') == [
        ObjectChange(ObjectEvent.POST, "uploads/cat.jpg", 4, "e")
    ]
    assert len(changes(Action.POST_FORM, request, status=303)) == 1, "a form may lead the browser elsewhere"
    assert changes(Action.POST_FORM, request, status=403) == []
    assert changes(Action.POST_FORM, replace(request, headers=()), status=204) == []


def test_tags_and_access_control_lists_are_of_a_version() -> None:
    tagged = changes(Action.PUT_TAGS, x_amz_version_id="v")
    untagged = changes(Action.DELETE_TAGS, status=204, version="w")
    acl = changes(Action.PUT_ACL)

    assert tagged == [ObjectChange(ObjectEvent.TAGGED, "k", version_id="v")]
    assert untagged == [ObjectChange(ObjectEvent.UNTAGGED, "k", version_id="w")]
    assert acl == [ObjectChange(ObjectEvent.ACL, "k")]
