"""The metrics of the namespaces that the rules know, read from each service's user guide in November 2026.

One row is `kind unit bad names`. Kind: `percent` (0 to 100), `count` (things that happened, counted with Sum), `level`
(a height at a moment, never below 0). Unit: the one that CloudWatch stores, `-` where the guide does not settle it. Bad
is the direction of trouble: `high`, `low`, `stop` (work that is done: none of it is trouble, some of it is not), `-`
where both ways can be meant. Where a service is read wrongly here, a rule is wrong too: the source is beside each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """The kind of a metric, the unit in which it is published, and the direction that is bad."""

    kind: str
    unit: str
    bad: str


@dataclass(frozen=True)
class Namespace:
    """The metrics of a namespace, the names of its dimensions, and the source of that.

    Where `is_complete` is false the service publishes more than is listed, and a name that is not here says nothing.
    """

    source: str
    metrics: Mapping[str, Facts]
    dimensions: frozenset[str]
    is_complete: bool = True


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _table(rows: str) -> dict[str, Facts]:
    found: dict[str, Facts] = {}
    for row in rows.strip().splitlines():
        kind, unit, bad, *names = row.split()
        found |= dict.fromkeys(names, Facts(kind, unit, bad))
    return found


DMS_INSTANCE = _table(
    """
    percent Percent high CPUUtilization
    level - - CPUCreditUsage CPUSurplusCreditBalance CPUSurplusCreditsCharged
    level - low CPUCreditBalance
    level Bytes low FreeStorageSpace FreeMemory AvailableMemory
    level Bytes - FreeableMemory
    level Count/Second - WriteIOPS ReadIOPS
    level Bytes/Second - WriteThroughput ReadThroughput NetworkTransmitThroughput NetworkReceiveThroughput
    level - high WriteLatency ReadLatency
    level Count high DiskQueueDepth
    level Bytes high SwapUsage
    level - - SwapIn SwapOut
    """
)
"""Published by replication instance."""
DMS_TASK = _table(
    """
    percent Percent high CPUUtilization
    percent Percent - CPUAllocated
    level - stop FullLoadThroughputBandwidthTarget FullLoadThroughputRowsTarget
    level - stop FullLoadThroughputBandwidthSource FullLoadThroughputRowsSource CDCThroughputBandwidthTarget
    level - stop CDCThroughputRowsSource CDCThroughputRowsTarget CDCThroughputBandwidthSource
    level - stop ValidationSuccededRecordCount ValidationSucceededRecordCount
    level - high CDCChangesMemorySource CDCChangesMemoryTarget CDCChangesDiskSource CDCChangesDiskTarget
    level - high ValidationFailedOverallCount ValidationFailedRecordCount ValidationSuspendedOverallCount
    level - high ValidationSuspendedRecordCount ValidationPendingOverallCount ValidationPendingRecordCount
    level Seconds high CDCLatencySource CDCLatencyTarget
    level - - CDCIncomingChanges MemoryUsage MemoryAllocated ValidationAttemptedRecordCount
    level - - ValidationBulkQuerySourceLatency ValidationBulkQueryTargetLatency
    level - - ValidationItemQuerySourceLatency ValidationItemQueryTargetLatency CapacityUtilization
    level Bytes high SwapUsage
    """
)
"""Published by task, with the dimension of its instance beside it."""
_RDS = _table(
    """
    percent Percent high CPUUtilization
    percent Percent low BurstBalance EBSByteBalance% EBSIOBalance% BufferCacheHitRatio
    percent Percent - ResultSetCacheHitRatio IndexBufferHitRatio
    percent - - ACUUtilization SumBinaryLogSizePercent AuroraVolumeUsedPercent
    count - high Deadlocks LoginFailures FailedSQLServerAgentJobsCount
    count - - AbortedClients
    level - - ConnectionAttempts CheckpointLag CPUCreditUsage CPUSurplusCreditBalance CPUSurplusCreditsCharged
    level - - ReadIOPSLogVolume ReadIOPSLocalStorage ReadLatencyLogVolume ReadLatencyLocalStorage
    level - - ReadThroughputLogVolume ReadThroughputLocalStorage TransactionLogsGeneration WriteIOPSLogVolume
    level - - WriteIOPSLocalStorage WriteLatencyLogVolume WriteLatencyLocalStorage WriteThroughputLogVolume
    level - - WriteThroughputLocalStorage DBLoad DBLoadCPU DBLoadNonCPU DBLoadRelativeToNumVCPUs TotalIOPS
    level - - OSReportedFreeMemory ActiveTransactions BlockedTransactions CommitLatency CommitThroughput
    level - - DDLLatency DDLThroughput DeleteLatency DeleteThroughput DMLLatency DMLThroughput InsertLatency
    level - - InsertThroughput SelectLatency SelectThroughput UpdateLatency UpdateThroughput Queries
    level - - EngineUptime AuroraReplicaLagMinimum AuroraGlobalDBDataTransferBytes AuroraGlobalDBProgressLag
    level - - AuroraGlobalDBReplicatedWriteIO AuroraEstimatedSharedMemoryBytes
    level - - AuroraOptimizedReadsCacheHitRatio AuroraDMLRejectedMasterFull AuroraDMLRejectedWriterFull
    level - - AuroraMemoryHealthState AuroraMemoryNumDeclinedSql AuroraMemoryNumDeclinedSqlTotal
    level - - AuroraMemoryNumKillConnTotal AuroraMemoryNumKillQueryTotal AuroraMillisecondsSpentInOomRecovery
    level - - AuroraNumOomRecoverySuccessful AuroraNumOomRecoveryTriggered AuroraSlowConnectionHandleCount
    level - - AuroraSlowHandshakeCount BacktrackChangeRecordsCreationRate BacktrackChangeRecordsStored
    level - - BacktrackWindowActual BacktrackWindowAlert BackupRetentionPeriodStorageUsed
    level - - ForwardingMasterDMLLatency ForwardingMasterDMLThroughput ForwardingMasterOpenSessions
    level - - ForwardingReplicaDMLLatency ForwardingReplicaDMLThroughput ForwardingReplicaOpenSessions
    level - - ForwardingReplicaReadWaitLatency ForwardingReplicaReadWaitThroughput
    level - - ForwardingReplicaSelectLatency ForwardingReplicaSelectThroughput ForwardingWriterDMLLatency
    level - - ForwardingWriterDMLThroughput ForwardingWriterOpenSessions IamDbAuthConnectionRequests
    level - - NetworkThroughput NumBinaryLogFiles ServerlessDatabaseCapacity SnapshotStorageUsed
    level - - StorageNetworkReceiveThroughput StorageNetworkThroughput StorageNetworkTransmitThroughput
    level - - SumBinaryLogSize TempStorageIOPS TempStorageThroughput TotalBackupStorageBilled
    level - - TransactionAgeMaximum VolumeBytesUsed VolumeReadIOPs VolumeWriteIOPs
    level - - RDSToAuroraPostgreSQLReplicaLag RollbackSegmentHistoryListLength PurgeBoundary
    level - - PurgeFinishedPoint TruncateFinishedPoint TransactionsBlocked Aurora_pq_request_executed
    level - - Aurora_pq_request_attempted ClientConnections ClientConnectionsClosed ClientConnectionsNoTLS
    level - - ClientConnectionsReceived ClientConnectionsTLS DatabaseConnectionRequests
    level - - DatabaseConnectionRequestsWithTLS DatabaseConnectionsBorrowLatency
    level - - DatabaseConnectionsCurrentlyBorrowed DatabaseConnectionsCurrentlyInTransaction
    level - - DatabaseConnectionsCurrentlySessionPinned DatabaseConnectionsWithTLS
    level - - MaxDatabaseConnectionsAllowed QueryDatabaseResponseLatency QueryRequests QueryRequestsNoTLS
    level - - QueryRequestsTLS QueryResponseLatency PromotionTier DatabaseInsightsAdvancedEnabled
    level Bytes high BinLogDiskUsage OldestReplicationSlotLag ReplicationSlotDiskUsage SwapUsage
    level Bytes high TransactionLogsDiskUsage
    level - low CPUCreditBalance FreeStorageSpaceLogVolume FreeLocalStoragePercent AuroraVolumeBytesLeftTotal
    level - low AvailabilityPercentage
    level Count - DatabaseConnections
    level Count high DiskQueueDepth MaximumUsedTransactionIDs
    level - high DiskQueueDepthLogVolume OldestLogicalReplicationSlotLag AuroraBinlogReplicaLag
    level - high AuroraGlobalDBRPOLag IamDbAuthConnectionFailure ClientConnectionsSetupFailedAuth
    level - high DatabaseConnectionsSetupFailed
    level Bytes low FreeableMemory FreeLocalStorage FreeStorageSpace
    level Bytes/Second - NetworkReceiveThroughput NetworkTransmitThroughput ReadThroughput WriteThroughput
    level Count/Second - ReadIOPS WriteIOPS
    level Seconds high ReadLatency ReplicaLag ReplicationChannelLag WriteLatency
    level Milliseconds high AuroraReplicaLag AuroraReplicaLagMaximum AuroraGlobalDBReplicationLag
    level - stop IamDbAuthConnectionSuccess ClientConnectionsSetupSucceeded DatabaseConnectionsSetupSucceeded
    """
)

NAMESPACES = {
    "AWS/DMS": Namespace(
        'AWS DMS user guide, "Monitoring replication tasks using Amazon CloudWatch" (metrics reference)',
        {**DMS_INSTANCE, **DMS_TASK},
        _names(
            """
                ReplicationConfigArn ReplicationConfigIdentifier ReplicationInstanceExternalResourceId
                ReplicationInstanceIdentifier ReplicationTaskIdentifier
            """
        ),
    ),
    "AWS/RDS": Namespace(
        'Amazon RDS and Amazon Aurora user guides, "Amazon CloudWatch metrics" and "... dimensions"',
        _RDS,
        _names(
            """
                DBClusterIdentifier DBInstanceIdentifier DBProxyName DatabaseClass DbClusterIdentifier EndpointName
                EngineName ProxyName Role SecondaryRegion SourceRegion Target TargetGroup TargetRole
            """
        ),
    ),
    "AWS/Lambda": Namespace(
        'AWS Lambda developer guide, "Types of metrics for Lambda functions"',
        _table(
            """
            level - - ProvisionedConcurrencyUtilization
            count Count high Errors DeadLetterErrors DestinationDeliveryFailures Throttles
            count Count - Invocations ProvisionedConcurrencyInvocations ProvisionedConcurrencySpilloverInvocations
            count - high OversizedRecordCount RecursiveInvocationsDropped AsyncEventsDropped FailedInvokeEventCount
            count - high DroppedEventCount SignatureValidationErrors
            count - - AsyncEventsReceived PolledEventCount FilteredOutEventCount InvokedEventCount
            count - - OnFailureDestinationDeliveredEventCount DeletedEventCount CommittedEventCount
            level Milliseconds high Duration IteratorAge AsyncEventAge
            level - high OffsetLag Url5xxCount SocketErrorCount
            level Milliseconds - PostRuntimeExtensionsDuration
            level Count - ConcurrentExecutions UnreservedConcurrentExecutions ProvisionedConcurrentExecutions
            level - - ClaimedAccountConcurrency ProvisionedPollers EstimatedConcurrency InitDuration UrlRequestCount
            level - - UrlRequestLatency Url4xxCount EventPollerUnit
            """
        ),
        _names("EventSourceMappingUUID ExecutedVersion FunctionName Resource"),
    ),
    "AWS/SecretsManager": Namespace(
        'AWS Secrets Manager user guide, "Monitor AWS Secrets Manager with Amazon CloudWatch"',
        _table(
            """
            level - - ResourceCount
            """
        ),
        _names("Class Resource Service Type"),
    ),
    "AWS/Events": Namespace(
        'Amazon EventBridge user guide, "Monitoring Amazon EventBridge"',
        _table(
            """
            count Count - DeadLetterInvocations Events Invocations InvocationAttempts InvocationsCreated
            count Count - InvocationsSentToDlq MatchedEvents RetryInvocationAttempts TriggeredRules
            count Count - PutEventsApproximateCallCount PutEventsEntriesCount PutPartnerEventsApproximateCallCount
            count Count - PutPartnerEventsEntriesCount
            count Count high FailedInvocations InvocationsFailedToBeSentToDlq ThrottledRules
            count Count high PutEventsApproximateFailedCount PutEventsApproximateThrottledCount
            count Count high PutEventsFailedEntriesCount PutPartnerEventsApproximateFailedCount
            count Count high PutPartnerEventsApproximateThrottledCount PutPartnerEventsFailedEntriesCount
            count Count stop SuccessfulInvocationAttempts PutEventsApproximateSuccessCount
            count Count stop PutPartnerEventsApproximateSuccessCount
            level - high IngestionToInvocationStartLatency IngestionToInvocationSuccessLatency
            level - high IngestionToInvocationCompleteLatency IngestiontoInvocationStartLatency PutEventsLatency
            level - high PutPartnerEventsLatency
            level - - PutEventsRequestSize
            """
        ),
        _names("EventBusName EventSourceName RuleName"),
    ),
    "AWS/SNS": Namespace(
        'Amazon SNS developer guide, "Monitoring Amazon SNS topics using CloudWatch"',
        _table(
            """
            count Count - NumberOfMessagesPublished NumberOfNotificationsFilteredOut
            count Count - NumberOfNotificationsFilteredOut-InvalidAttributes
            count Count - NumberOfNotificationsFilteredOut-NoMessageAttributes
            count Count - NumberOfNotificationsFilteredOut-MessageAttributes
            count Count - NumberOfNotificationsFilteredOut-InvalidMessageBody
            count Count - NumberOfNotificationsFilteredOut-MessageBody NumberOfNotificationsRedrivenToDlq
            count Count stop NumberOfNotificationsDelivered
            count Count high NumberOfNotificationsFailed NumberOfNotificationsFailedToRedriveToDlq
            level Bytes - PublishSize
            level - - SMSMonthToDateSpentUSD DwellTime
            level - low SMSSuccessRate
            """
        ),
        _names(
            """
                Application Application,Platform Country PhoneNumber Platform SMSType SubscriptionArn TopicName
            """
        ),
    ),
    "AWS/SQS": Namespace(
        'Amazon SQS developer guide, "Available CloudWatch metrics for Amazon SQS"',
        _table(
            """
            level Seconds high ApproximateAgeOfOldestMessage
            level - high ApproximateAgeOfOldestMessageInQuietGroups
            level Count - ApproximateNumberOfMessagesDelayed ApproximateNumberOfMessagesNotVisible
            level Count - ApproximateNumberOfMessagesVisible ApproximateNumberOfGroupsWithInflightMessages
            level - - ApproximateNumberOfNoisyGroups ApproximateNumberOfMessagesVisibleInQuietGroups
            level - - ApproximateNumberOfMessagesNotVisibleInQuietGroups
            level - - ApproximateNumberOfMessagesDelayedInQuietGroups
            count Count - NumberOfEmptyReceives NumberOfMessagesDeleted NumberOfMessagesReceived NumberOfMessagesSent
            count Count - NumberOfDeduplicatedSentMessages
            level Bytes - SentMessageSize
            """
        ),
        _names("QueueName"),
    ),
    "AWS/EC2": Namespace(
        'Amazon EC2 user guide, "CloudWatch metrics that are available for your instances"',
        _table(
            """
            percent Percent high CPUUtilization
            percent Percent - DedicatedHostCPUUtilization
            percent Percent low EBSIOBalance% EBSByteBalance%
            level Count high StatusCheckFailed StatusCheckFailed_Instance StatusCheckFailed_System
            level Count high StatusCheckFailed_AttachedEBS
            level Bytes - DiskReadBytes DiskWriteBytes NetworkIn NetworkOut EBSReadBytes EBSWriteBytes
            level Count - DiskReadOps DiskWriteOps NetworkPacketsIn NetworkPacketsOut EBSReadOps EBSWriteOps
            level - - CPUCreditUsage CPUSurplusCreditBalance CPUSurplusCreditsCharged MetadataNoToken
            level - - MetadataNoTokenRejected GPUPowerUtilization InstanceEBSIOPSExceededCheck
            level - - InstanceEBSThroughputExceededCheck
            level - low CPUCreditBalance
            """
        ),
        _names("AutoScalingGroupName HostId ImageId InstanceId InstanceType"),
    ),
    "AWS/ELB": Namespace(
        'User guide for Classic Load Balancers, "CloudWatch metrics for your Classic Load Balancer"',
        _table(
            """
            count Count high BackendConnectionErrors HTTPCode_Backend_4XX HTTPCode_Backend_5XX HTTPCode_ELB_4XX
            count Count high HTTPCode_ELB_5XX SpilloverCount
            count Count - HTTPCode_Backend_2XX HTTPCode_Backend_3XX RequestCount
            count Count - DesyncMitigationMode_NonCompliant_Request_Count
            level Count high UnHealthyHostCount SurgeQueueLength
            level Count low HealthyHostCount
            level Seconds high Latency
            level - - EstimatedALBActiveConnectionCount EstimatedALBConsumedLCUs EstimatedALBNewConnectionCount
            level - - EstimatedProcessedBytes
            """
        ),
        _names("AvailabilityZone LoadBalancerName Service"),
    ),
    "AWS/ApplicationELB": Namespace(
        'User guide for Application Load Balancers, "CloudWatch metrics for your Application Load Balancer"',
        _table(
            """
            count Count high HTTPCode_ELB_4XX_Count HTTPCode_ELB_5XX_Count HTTPCode_ELB_500_Count
            count Count high HTTPCode_ELB_502_Count HTTPCode_ELB_503_Count HTTPCode_ELB_504_Count
            count Count high HTTPCode_Target_4XX_Count HTTPCode_Target_5XX_Count RejectedConnectionCount
            count Count high TargetConnectionErrorCount ClientTLSNegotiationErrorCount TargetTLSNegotiationErrorCount
            count Count high ELBAuthError ELBAuthFailure
            count Count - RequestCount RequestCountPerTarget NewConnectionCount ActiveConnectionCount
            count Count - HTTPCode_Target_2XX_Count HTTPCode_Target_3XX_Count
            level Count high UnHealthyHostCount
            level Count low HealthyHostCount
            level Seconds high TargetResponseTime
            level Bytes - ProcessedBytes
            """
        ),
        _names(""),
        is_complete=False,
    ),
    "AWS/NetworkELB": Namespace(
        'User guide for Network Load Balancers, "CloudWatch metrics for your Network Load Balancer"',
        _table(
            """
            level Count high UnHealthyHostCount
            level Count low HealthyHostCount
            count Count - TCP_Client_Reset_Count TCP_ELB_Reset_Count TCP_Target_Reset_Count ActiveFlowCount
            count Count - NewFlowCount
            level Bytes - ProcessedBytes
            """
        ),
        _names(""),
        is_complete=False,
    ),
    "AWS/DynamoDB": Namespace(
        'Amazon DynamoDB developer guide, "DynamoDB Metrics and dimensions"',
        _table(
            """
            count Count high ReadThrottleEvents WriteThrottleEvents ThrottledRequests SystemErrors UserErrors
            count Count - ConditionalCheckFailedRequests ConsumedReadCapacityUnits ConsumedWriteCapacityUnits
            level Milliseconds high SuccessfulRequestLatency ReplicationLatency
            """
        ),
        _names(""),
        is_complete=False,
    ),
    "AWS/ECS": Namespace(
        'Amazon ECS developer guide, "Amazon ECS CloudWatch metrics" (a service may pass 100 %)',
        _table(
            """
            level Percent high CPUUtilization MemoryUtilization
            level Percent - CPUReservation MemoryReservation GPUReservation
            """
        ),
        _names(""),
        is_complete=False,
    ),
    "AWS/ApiGateway": Namespace(
        'Amazon API Gateway developer guide, "Amazon API Gateway dimensions and metrics"',
        _table(
            """
            count Count high 4XXError 5XXError
            count - high 4xx 5xx
            count Count - Count CacheHitCount CacheMissCount
            level Milliseconds high Latency IntegrationLatency
            """
        ),
        _names(""),
        is_complete=False,
    ),
    "AWS/Kinesis": Namespace(
        'Amazon Kinesis Data Streams developer guide, "Monitor the Amazon Kinesis Data Streams service"',
        _table(
            """
            level Milliseconds high GetRecords.IteratorAgeMilliseconds GetRecords.Latency PutRecord.Latency
            level Milliseconds high PutRecords.Latency
            count Count high ReadProvisionedThroughputExceeded WriteProvisionedThroughputExceeded
            count Count - IncomingRecords
            level Bytes - IncomingBytes GetRecords.Bytes
            """
        ),
        _names(""),
        is_complete=False,
    ),
    "AWS/States": Namespace(
        'AWS Step Functions developer guide, "Monitoring Step Functions metrics using Amazon CloudWatch"',
        _table(
            """
            count Count high ExecutionsFailed ExecutionsAborted ExecutionsTimedOut ExecutionThrottled
            count Count stop ExecutionsSucceeded
            count Count - ExecutionsStarted
            level Milliseconds - ExecutionTime
            """
        ),
        _names(""),
        is_complete=False,
    ),
    "AWS/EFS": Namespace(
        'Amazon EFS user guide, "CloudWatch metrics for Amazon EFS"',
        _table(
            """
            level Bytes low BurstCreditBalance
            level Percent high PercentIOLimit
            level Count - ClientConnections
            """
        ),
        _names(""),
        is_complete=False,
    ),
    "AWS/DocDB": Namespace(
        'Amazon DocumentDB developer guide, "Monitoring Amazon DocumentDB with CloudWatch"',
        _table(
            """
            level Percent high CPUUtilization
            level Bytes low FreeableMemory FreeLocalStorage
            """
        ),
        _names(""),
        is_complete=False,
    ),
    "AWS/DX": Namespace(
        'AWS Direct Connect user guide, "Monitor with Amazon CloudWatch" (1 is up)',
        _table(
            """
            level - low ConnectionState
            """
        ),
        _names(""),
        is_complete=False,
    ),
    "AWS/VPN": Namespace(
        'AWS Site-to-Site VPN user guide, "Monitor AWS Site-to-Site VPN tunnels" (1 is up)',
        _table(
            """
            level - low TunnelState
            """
        ),
        _names(""),
        is_complete=False,
    ),
    "AWS/ES": Namespace(
        'Amazon OpenSearch Service developer guide, "Monitoring OpenSearch cluster metrics"',
        _table(
            """
            level - low FreeStorageSpace
            level - high ClusterStatus.red ClusterStatus.yellow ClusterIndexWritesBlocked AutomatedSnapshotFailure
            level - high JVMMemoryPressure KMSKeyError KMSKeyInaccessible
            level - - ClusterStatus.green
            """
        ),
        _names(""),
        is_complete=False,
    ),
    "AWS/NATGateway": Namespace(
        'Amazon VPC user guide, "NAT gateway metrics and dimensions"',
        _table(
            """
            count Count high ErrorPortAllocation PacketsDropCount
            """
        ),
        _names(""),
        is_complete=False,
    ),
}


def facts_of(namespace: str, metric: object) -> Facts | None:
    """Return what is known of a metric; None of one that is not listed."""
    known = NAMESPACES.get(namespace)
    return known.metrics.get(metric) if known and isinstance(metric, str) else None


MUST_KEEP_COMING = _names(
    """
    CDCIncomingChanges CDCLatencySource CDCLatencyTarget CDCThroughputRowsSource CDCThroughputRowsTarget
    """
)
"""Metrics of a running DMS task: they stop when the task does, so their absence is the bad news."""
