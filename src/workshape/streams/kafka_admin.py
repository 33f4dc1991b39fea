"""Topics made on a Kafka cluster, with aiokafka.

Source: https://aiokafka.readthedocs.io/en/stable/api.html (AIOKafkaAdminClient)
"""

from collections.abc import Mapping, Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from workshape.streams.model import ClusterUnavailable

COPIES_MAX = 3  # of each partition, where there are as many servers
REQUEST_MS_MAX = 10_000


async def create_topics(servers: Sequence[str], partitions: Mapping[str, int]) -> list[str]:
    """Make those topics that are not there yet, and name them; those that are there stay as they are.

    Raises:
        ClusterUnavailable: the cluster cannot be reached, or refuses.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=list(servers), request_timeout_ms=REQUEST_MS_MAX)
    try:
        await admin.start()
        there = set(await admin.list_topics())
        missing = {name: count for name, count in partitions.items() if name not in there}
        if missing:
            copies = min(COPIES_MAX, len((await admin.describe_cluster())["brokers"]))
            wanted = [NewTopic(name, count, copies) for name, count in missing.items()]
            answer = await admin.create_topics(wanted)
            for _, code, *reason in answer.topic_errors:
                if code not in (0, TopicAlreadyExistsError.errno):
                    raise for_code(code)(*reason)
    except KafkaError as error:
        raise ClusterUnavailable(servers=",".join(servers), reason=str(error) or type(error).__name__) from error
    finally:
        await admin.close()
    return list(missing)
