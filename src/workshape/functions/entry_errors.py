"""What can be wrong with what an environment is to run. A core. Every Python that runs functions loads it."""

INVALID_ENTRY_POINT = "Runtime.InvalidEntrypoint"
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html"""
INVALID_WORKING_DIRECTORY = "Runtime.InvalidWorkingDir"
"""AWS: undocumented; seen in the errors of functions whose image is wrong."""
