"""CloudWatch as the front door finds it.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_Operations.html
"""

from workshape.aws.cloudwatch.errors import ERRORS
from workshape.aws.cloudwatch.metric_data import metric_data_operation
from workshape.aws.cloudwatch.metric_list import metric_list_operation
from workshape.aws.cloudwatch.metric_statistics import metric_statistics_operation
from workshape.aws.cloudwatch.series import SeriesReader
from workshape.aws.operation import Service
from workshape.clock import Clock
from workshape.metrics.keeper import MetricKeeper


def cloudwatch_service(keeper: MetricKeeper, clock: Clock) -> Service:
    """Offer the kept metrics as CloudWatch."""
    reader = SeriesReader(keeper, clock)
    operations = {
        "GetMetricData": metric_data_operation(reader),
        "GetMetricStatistics": metric_statistics_operation(reader),
        "ListMetrics": metric_list_operation(keeper, clock),
    }
    return Service("cloudwatch", operations, ERRORS, is_shared=True)
