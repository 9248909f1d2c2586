"""Valkey, which tells the processes that a job has moved, and counts what callers ask for."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from graphql_api.adapters.valkey_url import DEFAULT_PORT, parse_valkey_url
from infra.config import Config
from infra.network import Network

USER = "text2image"
VERSION = "8"
PORTS = (DEFAULT_PORT, 6380)
"""Serverless caches answer on the first, and for reading on the second, which clients of clusters are told of too (AWS,
"Working with ElastiCache Serverless")."""
ECPU_PER_SECOND = 10_000
"""ElastiCache's processing units a second at most: a command each, up to a kilobyte. Some 60 US dollars a month if used
all the time; docs/scaling.md has what jobs and watchers take."""
PASSWORD_LENGTH = 64

COMMANDS = (
    # The event broker.
    *("get", "set", "del", "hget", "hset", "hdel", "expire"),
    *("spublish", "ssubscribe", "sunsubscribe", "cluster|slots", "ping"),
    # The rate limiter: scripts, and what they do.
    *("evalsha", "script|load", "incrby", "decrby", "exists", "pttl", "rename"),
    # What the client library says and asks: who it is, and, of a cluster, where the keys of a command stand.
    *("client|setinfo", "command"),
)
"""Every command that the program gives. A test has the program work with these alone."""


def access_string() -> str:
    """What the program may do, as ACL SETUSER takes it: its own commands on its own keys and channels."""
    own = f"{parse_valkey_url('valkey://host').prefix}*"
    return " ".join(["on", f"~{own}", "resetchannels", f"&{own}", "-@all", *(f"+{command}" for command in COMMANDS)])


class Events(Construct):
    """A serverless cache, encrypted on its way and at rest, that only the tasks reach. `url` is TEXT2IMAGE_EVENTS;
    `password`, which Secrets Manager draws, is TEXT2IMAGE_EVENTS_PASSWORD.

    There are no snapshots: what it holds is about jobs that run now, and rows are the truth about those. If it is lost,
    watchers read rows, and counters of callers begin anew.
    """

    def __init__(self, scope: Construct, id: str, *, config: Config, network: Network) -> None:
        super().__init__(scope, id)
        group = ec2.SecurityGroup(
            self, "Group", vpc=network.vpc, allow_all_outbound=False, description="Valkey, for the tasks"
        )
        for port in PORTS:
            group.connections.allow_from(network.tasks, ec2.Port.tcp(port), "Tasks")
        self.password = self._password()
        data = network.vpc.select_subnets(
            subnets=network.data_subnets.subnets,
            subnet_type=network.data_subnets.subnet_type,
            subnet_group_name=network.data_subnets.subnet_group_name,
        )
        cache = elasticache.CfnServerlessCache(
            self,
            "Cache",
            serverless_cache_name=config.prefix,
            description="Events and rate limits of text2image",
            engine="valkey",
            major_engine_version=VERSION,
            cache_usage_limits=elasticache.CfnServerlessCache.CacheUsageLimitsProperty(
                data_storage=elasticache.CfnServerlessCache.DataStorageProperty(
                    unit="GB", maximum=config.valkey_max_gb
                ),
                ecpu_per_second=elasticache.CfnServerlessCache.ECPUPerSecondProperty(maximum=ECPU_PER_SECOND),
            ),
            security_group_ids=[group.security_group_id],
            # Two, also where there are three: to change them would be to make another cache.
            subnet_ids=data.subnet_ids[:2],
            user_group_id=self._users(config).ref,
        )
        self.url = f"valkeys://{USER}@{cache.attr_endpoint_address}:{DEFAULT_PORT}?cluster=true"

    def _password(self) -> secretsmanager.Secret:
        password = secretsmanager.Secret(
            self,
            "Password",
            description="Password of the program's user in Valkey",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=PASSWORD_LENGTH, exclude_punctuation=True
            ),
        )
        cdk.Validations.of(password).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-SMG4",
                reason="Nobody types this password, it opens a port that only the tasks reach, and what is behind it "
                "is about jobs of the moment. Rotation would need a function that also restarts the tasks.",
            )
        )
        return password

    def _users(self, config: Config) -> elasticache.CfnUserGroup:
        """The program, and nobody by default."""
        # CloudFormation looks it up when it is deployed: the template holds a reference.
        authentication = {"Type": "password", "Passwords": [self.password.secret_value.unsafe_unwrap()]}
        program = elasticache.CfnUser(
            self,
            "Program",
            engine="valkey",
            user_id=f"{config.prefix}-program",
            user_name=USER,
            access_string=access_string(),
            authentication_mode=authentication,
        )
        # A group of Valkey takes no user without a password, even if it is off.
        nobody = elasticache.CfnUser(
            self,
            "Nobody",
            engine="valkey",
            user_id=f"{config.prefix}-nobody",
            user_name="default",
            access_string="off resetchannels -@all",
            authentication_mode=authentication,
        )
        return elasticache.CfnUserGroup(
            self, "Users", engine="valkey", user_group_id=config.prefix, user_ids=[program.ref, nobody.ref]
        )
