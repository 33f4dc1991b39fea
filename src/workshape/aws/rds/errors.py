"""How RDS's errors read on the wire.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/CommonErrors.html (and each operation's)
"""

from collections.abc import Mapping

from workshape.aws.operation import WireError
from workshape.errors import Invalid, WorkshapeError
from workshape.proxies import model

ERRORS: Mapping[type[WorkshapeError], WireError] = {
    model.ProxyNotFound: WireError("DBProxyNotFoundFault", 404),
    model.ProxyExists: WireError("DBProxyAlreadyExistsFault", 400),
    model.ProxyQuotaExceeded: WireError("DBProxyQuotaExceededFault", 400),
    model.TargetGroupNotFound: WireError("DBProxyTargetGroupNotFoundFault", 404),
    model.TargetNotFound: WireError("DBProxyTargetNotFoundFault", 404),
    model.TargetRegistered: WireError("DBProxyTargetAlreadyRegisteredFault", 400),
    model.EndpointNotFound: WireError("DBProxyEndpointNotFoundFault", 404),
    model.EndpointExists: WireError("DBProxyEndpointAlreadyExistsFault", 400),
    model.EndpointQuotaExceeded: WireError("DBProxyEndpointQuotaExceededFault", 400),
    model.InstanceNotFound: WireError("DBInstanceNotFound", 404),
    model.ClusterNotFound: WireError("DBClusterNotFoundFault", 404),
    model.WrongInstance: WireError("InvalidDBInstanceState", 400),
    model.ResourceNotFound: WireError("DBProxyNotFoundFault", 404),
    model.WrongState: WireError("InvalidDBProxyStateFault", 400),
    model.InvalidCombination: WireError("InvalidParameterCombination", 400),
    Invalid: WireError("InvalidParameterValue", 400),
}
