"""RDS as the front door finds it: RDS Proxy is ours, everything else the upstream's.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_Operations.html
"""

from workshape.aws.operation import Service
from workshape.aws.rds.clusters import cluster_operations
from workshape.aws.rds.endpoints import endpoint_operations
from workshape.aws.rds.errors import ERRORS
from workshape.aws.rds.instances import instance_operations
from workshape.aws.rds.proxies import proxy_operations
from workshape.aws.rds.tags import tag_operations
from workshape.aws.rds.targets import target_operations
from workshape.proxies.registry import Proxies


def rds_service(proxies: Proxies) -> Service:
    """Offer the proxies, and the database they can stand before."""
    operations = {
        **proxy_operations(proxies),
        **target_operations(proxies),
        **endpoint_operations(proxies),
        **tag_operations(proxies),
        **instance_operations(proxies),
        **cluster_operations(proxies),
    }
    return Service("rds", operations, ERRORS, is_shared=True)
