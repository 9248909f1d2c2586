"""PostgreSQL: who reaches it, who knows its password, and what is left of it when something goes wrong."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest

from infra.config import Config
from infra.database import NAME, PORT, Database
from infra.network import Network
from tests.infra.deployments import Deployment, Resource
from tests.infra.small_stack import STACK, a_config, synthesize
from tests.infra.walking import faults

SMALL = a_config(LOG_DAYS="14")
STANDARD = a_config(ENVIRONMENT="standard", AURORA_CAPACITY_MIN="1", AURORA_CAPACITY_MAX="16")


def _deployment(config: Config, factory: pytest.TempPathFactory) -> Deployment:
    def build(stack: cdk.Stack) -> None:
        database = Database(stack, "Database", config=config, network=Network(stack, "Network", config=config))
        for name in ("host", "secret_arn", "name", "dimensions"):
            value = stack.to_json_string(getattr(database, name))
            cdk.CfnOutput(stack, name.replace("_", ""), value=value)

    return synthesize(factory.mktemp("database"), config, build)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return _deployment(SMALL, tmp_path_factory)


@pytest.fixture(scope="module")
def standard(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return _deployment(STANDARD, tmp_path_factory)


@pytest.fixture(scope="module", params=["small", "standard"])
def either(request: pytest.FixtureRequest) -> Deployment:
    deployment: Deployment = request.getfixturevalue(request.param)
    return deployment


def _only(deployment: Deployment, type: str) -> Resource:
    (resource,) = deployment.resources(type)
    return resource


def _database(deployment: Deployment) -> Resource:
    """What holds the data: the cluster, or else the instance."""
    clusters = list(deployment.resources("AWS::RDS::DBCluster"))
    return clusters[0] if clusters else _only(deployment, "AWS::RDS::DBInstance")


def _output(deployment: Deployment, name: str) -> str:
    return str(deployment.templates[STACK]["Outputs"][name]["Value"])


def _parameters(deployment: Deployment) -> dict[str, Any]:
    (group,) = deployment.resources("AWS::RDS::DBParameterGroup", "AWS::RDS::DBClusterParameterGroup")
    parameters: dict[str, Any] = group.properties["Parameters"]
    return parameters


def test_nothing_is_open_and_no_secret_is_plain(either: Deployment) -> None:
    assert faults(either) == []


def test_password_is_made_kept_and_rotated_by_rds(either: Deployment) -> None:
    database = _database(either)
    assert database.properties["ManageMasterUserPassword"] is True
    assert "MasterUserPassword" not in database.properties
    assert not list(either.resources("AWS::SecretsManager::Secret")), "RDS makes the secret"
    assert f"'{database.id}', 'MasterUserSecret.SecretArn'" in _output(either, "secretarn")


def test_only_the_tasks_reach_it(either: Deployment) -> None:
    (group,) = (
        each
        for each in either.resources("AWS::EC2::SecurityGroup")
        if each.properties["GroupDescription"].startswith("PostgreSQL")
    )
    own = {"Fn::GetAtt": [group.id, "GroupId"]}
    assert "SecurityGroupIngress" not in group.properties
    (rule,) = (r for r in either.resources("AWS::EC2::SecurityGroupIngress") if r.properties["GroupId"] == own)
    assert (rule.properties["FromPort"], rule.properties["ToPort"]) == (PORT, PORT)
    assert "Tasks" in rule.properties["SourceSecurityGroupId"]["Fn::GetAtt"][0]
    groups = _database(either).properties
    assert (groups.get("VPCSecurityGroups") or groups.get("VpcSecurityGroupIds")) == [own]


def test_no_instance_has_a_public_address(either: Deployment) -> None:
    instances = list(either.resources("AWS::RDS::DBInstance"))
    assert instances
    assert [each.properties["PubliclyAccessible"] for each in instances] == [False] * len(instances)


def test_connections_without_tls_are_refused(either: Deployment) -> None:
    assert _parameters(either)["rds.force_ssl"] == "1"


def test_prompts_of_slow_statements_are_not_logged(either: Deployment) -> None:
    parameters = _parameters(either)
    assert int(parameters["log_min_duration_statement"]) > 0
    assert parameters["log_parameter_max_length"] == "0"


def test_it_is_encrypted_backed_up_and_protected(either: Deployment) -> None:
    database = _database(either)
    assert database.properties["StorageEncrypted"] is True
    assert database.properties["DeletionProtection"] is True
    assert database.properties["DeleteAutomatedBackups"] is False
    whole = either.templates[STACK]["Resources"][database.id]
    assert (whole["DeletionPolicy"], whole["UpdateReplacePolicy"]) == ("Snapshot", "Snapshot")


def test_backups_are_kept_longer_in_standard(small: Deployment, standard: Deployment) -> None:
    kept = [_database(each).properties["BackupRetentionPeriod"] for each in (small, standard)]
    assert kept == [7, 14]


def test_minor_versions_come_by_themselves(either: Deployment) -> None:
    for instance in either.resources("AWS::RDS::DBInstance"):
        assert instance.properties["AutoMinorVersionUpgrade"] is True


def test_log_group_is_there_before_rds_makes_one_that_never_forgets(either: Deployment) -> None:
    database = _database(either)
    (log,) = (each for each in either.resources("AWS::Logs::LogGroup") if each.id.startswith("Database"))
    identifier = database.properties.get("DBClusterIdentifier") or database.properties["DBInstanceIdentifier"]
    kind = "cluster" if database.type.endswith("Cluster") else "instance"
    assert database.properties["EnableCloudwatchLogsExports"] == ["postgresql"]
    assert log.properties["LogGroupName"] == f"/aws/rds/{kind}/{identifier}/postgresql"
    assert log.properties["RetentionInDays"] == (14 if kind == "instance" else 30)
    assert log.id in either.templates[STACK]["Resources"][database.id]["DependsOn"]


def test_no_function_is_needed(either: Deployment) -> None:
    assert not list(either.resources("AWS::Lambda::Function"))


def test_small_is_one_instance_whose_storage_grows(small: Deployment) -> None:
    instance = _only(small, "AWS::RDS::DBInstance").properties
    assert instance["DBInstanceClass"] == "db.t4g.micro"
    assert (instance["MultiAZ"], instance["StorageType"]) == (False, "gp3")
    assert (instance["AllocatedStorage"], instance["MaxAllocatedStorage"]) == ("20", 100)


def test_standard_has_a_reader_in_another_zone_that_is_as_large_as_the_writer(standard: Deployment) -> None:
    instances = list(standard.resources("AWS::RDS::DBInstance"))
    zones = [str(each.properties["AvailabilityZone"]) for each in instances]
    assert len(zones) == len(set(zones)) == 2
    # Readers of tier 0 and 1 have the capacity of the writer.
    assert sorted(each.properties["PromotionTier"] for each in instances) == [0, 1]
    assert {each.properties["DBInstanceClass"] for each in instances} == {"db.serverless"}
    capacity = _database(standard).properties["ServerlessV2ScalingConfiguration"]
    assert capacity == {"MinCapacity": 1, "MaxCapacity": 16}


def test_program_is_told_host_port_and_name_that_are_true(either: Deployment) -> None:
    database = _database(either).properties
    assert int(database["Port"]) == PORT
    assert (database.get("DBName") or database["DatabaseName"]) == NAME == _output(either, "name").strip('"')
    assert "Endpoint.Address" in _output(either, "host")


def test_metrics_are_found_by_the_dimensions(small: Deployment, standard: Deployment) -> None:
    assert "DBInstanceIdentifier" in _output(small, "dimensions")
    assert SMALL.prefix in _output(small, "dimensions")
    assert "DBClusterIdentifier" in _output(standard, "dimensions")
    assert STANDARD.prefix in _output(standard, "dimensions")
