"""AWS's prices in us-east-1, each with where it was read and how sure that is. On-demand, without free tiers."""

from dataclasses import dataclass
from enum import StrEnum

REGION = "us-east-1"
AS_OF = "2026-10"


class Confidence(StrEnum):
    """How sure a price is. Whatever is below high is printed beside the figure that used it."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Price:
    """One row of the price list."""

    name: str
    usd: float
    unit: str
    source: str
    confidence: Confidence


LAMBDA_REQUEST = Price(
    "Lambda requests",
    2e-7,
    "request",
    "AWS Price List API, quoted in a public repository on 2026-10-05",
    Confidence.HIGH,
)
LAMBDA_GB_S = Price(
    "Lambda duration, x86, first tier",
    1.66667e-5,
    "GB-s, first 6e9 a month",
    "AWS Price List API, quoted in a public repository on 2026-10-05",
    Confidence.HIGH,
)
LAMBDA_GB_S_TIER_2 = Price(
    "Lambda duration, x86, second tier",
    1.5e-5,
    "GB-s, next 9e9 a month",
    "Infracost's golden file of 2024-07 and AWS's announcement of tiered pricing",
    Confidence.HIGH,
)
LAMBDA_GB_S_TIER_3 = Price(
    "Lambda duration, x86, third tier",
    1.33334e-5,
    "GB-s, over 15e9 a month",
    "Infracost's golden file: 619203.10 / 46.44e9",
    Confidence.HIGH,
)
LAMBDA_TIERS = ((6e9, LAMBDA_GB_S), (9e9, LAMBDA_GB_S_TIER_2), (float("inf"), LAMBDA_GB_S_TIER_3))
"""GB-s of a month in each tier, and their price. Source: https://aws.amazon.com/lambda/pricing/"""
LAMBDA_PROVISIONED_GB_S = Price(
    "Lambda provisioned concurrency, x86",
    4.1667e-6,
    "GB-s provisioned",
    "AWS Price List API, quoted in a public repository on 2026-10-05",
    Confidence.HIGH,
)
FARGATE_VCPU_H = Price(
    "Fargate vCPU, x86",
    0.04048,
    "vCPU-h",
    "AWS Price List API, quoted in a public repository on 2026-09-29",
    Confidence.HIGH,
)
FARGATE_GB_H = Price(
    "Fargate memory, x86",
    0.004445,
    "GB-h",
    "AWS Price List API, quoted in a public repository on 2026-09-29",
    Confidence.HIGH,
)
RDS_PROXY_VCPU_H = Price(
    "RDS Proxy on instances",
    0.015,
    "vCPU-h of the database, at least 2",
    "AWS Price List SKU AHVT2C6WP2BB5BXQ, USE1-RDS:ProxyUsage",
    Confidence.HIGH,
)
RDS_PROXY_ACU_H = Price(
    "RDS Proxy on Aurora Serverless v2",
    0.015,
    "ACU-h, at least 8",
    "AWS's RDS Proxy pricing page; 0.018 was seen for eu-west-2, the figure for us-east-1 is to be checked again",
    Confidence.LOW,
)
