"""Whether a bucket's CORS configuration lets a page of some origin ask for something. A core.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTOPTIONSobject.html (without a configuration: 403)
"""

from fnmatch import fnmatchcase

from workshape.aws.s3.xml import children, parse


def lets_in(configuration: bytes, origin: str, method: str) -> bool:
    """Tell whether a rule is for this origin and this method. The headers are left to whoever keeps the objects."""
    document = parse(configuration)
    if document is None or not origin:
        return False
    for rule in children(document, "CORSRule"):
        origins = [(element.text or "").strip() for element in children(rule, "AllowedOrigin")]
        methods = [(element.text or "").strip() for element in children(rule, "AllowedMethod")]
        if method in methods and any(_is_for(allowed, origin) for allowed in origins):
            return True
    return False


def _is_for(allowed: str, origin: str) -> bool:
    """An asterisk, one at most, stands for anything; nothing else is special."""
    return fnmatchcase(origin, allowed.replace("[", "[[]").replace("?", "[?]"))
