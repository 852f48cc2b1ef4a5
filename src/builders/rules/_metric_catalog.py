"""The metrics of the namespaces that the rules know, read from each service's user guide in November 2026.

A metric's kind: `percent` (0 to 100), `count` (things that happened, counted with Sum), `level` (a height at a moment,
never below 0). Where a service is read wrongly here, a rule is wrong too: the source is beside each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Namespace:
    """The metrics of a namespace: metric to kind, the names of its dimensions, and the source of that."""

    source: str
    metrics: Mapping[str, str]
    dimensions: frozenset[str]


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _kinds(**words: str) -> dict[str, str]:
    return {metric: kind for kind, names in words.items() for metric in names.split()}


DMS_INSTANCE = _kinds(
    percent="""
        CPUUtilization
    """,
    level="""
        CPUCreditUsage CPUCreditBalance CPUSurplusCreditBalance CPUSurplusCreditsCharged FreeStorageSpace FreeMemory
        FreeableMemory AvailableMemory WriteIOPS ReadIOPS WriteThroughput ReadThroughput WriteLatency ReadLatency
        DiskQueueDepth SwapUsage SwapIn SwapOut NetworkTransmitThroughput NetworkReceiveThroughput
    """,
)
"""Published by replication instance."""
DMS_TASK = _kinds(
    percent="""
        CPUUtilization CPUAllocated
    """,
    level="""
        FullLoadThroughputBandwidthTarget FullLoadThroughputRowsTarget CDCIncomingChanges CDCChangesMemorySource
        CDCChangesMemoryTarget CDCChangesDiskSource CDCChangesDiskTarget CDCThroughputBandwidthTarget
        CDCThroughputRowsSource CDCThroughputRowsTarget CDCThroughputBandwidthSource CDCLatencySource CDCLatencyTarget
        MemoryUsage MemoryAllocated SwapUsage ValidationAttemptedRecordCount ValidationFailedOverallCount
        ValidationSuccededRecordCount ValidationSucceededRecordCount ValidationSuspendedOverallCount
        ValidationSuspendedRecordCount ValidationPendingOverallCount ValidationPendingRecordCount
        ValidationFailedRecordCount ValidationBulkQuerySourceLatency ValidationBulkQueryTargetLatency
        ValidationItemQuerySourceLatency ValidationItemQueryTargetLatency CapacityUtilization
        FullLoadThroughputBandwidthSource FullLoadThroughputRowsSource
    """,
)
"""Published by task, with the dimension of its instance beside it."""
_RDS = _kinds(
    percent="""
        CPUUtilization BurstBalance EBSByteBalance% EBSIOBalance% BufferCacheHitRatio ResultSetCacheHitRatio
        ACUUtilization SumBinaryLogSizePercent AuroraVolumeUsedPercent IndexBufferHitRatio
    """,
    count="""
        Deadlocks AbortedClients LoginFailures FailedSQLServerAgentJobsCount
    """,
    level="""
        ConnectionAttempts BinLogDiskUsage CheckpointLag CPUCreditUsage CPUCreditBalance CPUSurplusCreditBalance
        CPUSurplusCreditsCharged DatabaseConnections DiskQueueDepth DiskQueueDepthLogVolume FreeableMemory
        FreeLocalStorage FreeStorageSpace FreeStorageSpaceLogVolume FreeLocalStoragePercent MaximumUsedTransactionIDs
        NetworkReceiveThroughput NetworkTransmitThroughput OldestReplicationSlotLag OldestLogicalReplicationSlotLag
        ReadIOPS ReadIOPSLogVolume ReadIOPSLocalStorage ReadLatency ReadLatencyLogVolume ReadLatencyLocalStorage
        ReadThroughput ReadThroughputLogVolume ReadThroughputLocalStorage ReplicaLag ReplicationChannelLag
        ReplicationSlotDiskUsage SwapUsage TransactionLogsDiskUsage TransactionLogsGeneration WriteIOPS
        WriteIOPSLogVolume WriteIOPSLocalStorage WriteLatency WriteLatencyLogVolume WriteLatencyLocalStorage
        WriteThroughput WriteThroughputLogVolume WriteThroughputLocalStorage DBLoad DBLoadCPU DBLoadNonCPU
        DBLoadRelativeToNumVCPUs TotalIOPS OSReportedFreeMemory ActiveTransactions BlockedTransactions CommitLatency
        CommitThroughput DDLLatency DDLThroughput DeleteLatency DeleteThroughput DMLLatency DMLThroughput
        InsertLatency InsertThroughput SelectLatency SelectThroughput UpdateLatency UpdateThroughput Queries
        EngineUptime AuroraReplicaLag AuroraReplicaLagMaximum AuroraReplicaLagMinimum AuroraBinlogReplicaLag
        AuroraVolumeBytesLeftTotal AuroraGlobalDBDataTransferBytes AuroraGlobalDBProgressLag
        AuroraGlobalDBReplicatedWriteIO AuroraGlobalDBReplicationLag AuroraGlobalDBRPOLag
        AuroraEstimatedSharedMemoryBytes AuroraOptimizedReadsCacheHitRatio AuroraDMLRejectedMasterFull
        AuroraDMLRejectedWriterFull AuroraMemoryHealthState AuroraMemoryNumDeclinedSql AuroraMemoryNumDeclinedSqlTotal
        AuroraMemoryNumKillConnTotal AuroraMemoryNumKillQueryTotal AuroraMillisecondsSpentInOomRecovery
        AuroraNumOomRecoverySuccessful AuroraNumOomRecoveryTriggered AuroraSlowConnectionHandleCount
        AuroraSlowHandshakeCount AvailabilityPercentage BacktrackChangeRecordsCreationRate
        BacktrackChangeRecordsStored BacktrackWindowActual BacktrackWindowAlert BackupRetentionPeriodStorageUsed
        ForwardingMasterDMLLatency ForwardingMasterDMLThroughput ForwardingMasterOpenSessions
        ForwardingReplicaDMLLatency ForwardingReplicaDMLThroughput ForwardingReplicaOpenSessions
        ForwardingReplicaReadWaitLatency ForwardingReplicaReadWaitThroughput ForwardingReplicaSelectLatency
        ForwardingReplicaSelectThroughput ForwardingWriterDMLLatency ForwardingWriterDMLThroughput
        ForwardingWriterOpenSessions IamDbAuthConnectionRequests IamDbAuthConnectionSuccess IamDbAuthConnectionFailure
        NetworkThroughput NumBinaryLogFiles ServerlessDatabaseCapacity SnapshotStorageUsed
        StorageNetworkReceiveThroughput StorageNetworkThroughput StorageNetworkTransmitThroughput SumBinaryLogSize
        TempStorageIOPS TempStorageThroughput TotalBackupStorageBilled TransactionAgeMaximum VolumeBytesUsed
        VolumeReadIOPs VolumeWriteIOPs RDSToAuroraPostgreSQLReplicaLag RollbackSegmentHistoryListLength PurgeBoundary
        PurgeFinishedPoint TruncateFinishedPoint TransactionsBlocked Aurora_pq_request_executed
        Aurora_pq_request_attempted ClientConnections ClientConnectionsClosed ClientConnectionsNoTLS
        ClientConnectionsReceived ClientConnectionsSetupFailedAuth ClientConnectionsSetupSucceeded
        ClientConnectionsTLS DatabaseConnectionRequests DatabaseConnectionRequestsWithTLS
        DatabaseConnectionsBorrowLatency DatabaseConnectionsCurrentlyBorrowed
        DatabaseConnectionsCurrentlyInTransaction DatabaseConnectionsCurrentlySessionPinned
        DatabaseConnectionsSetupFailed DatabaseConnectionsSetupSucceeded DatabaseConnectionsWithTLS
        MaxDatabaseConnectionsAllowed QueryDatabaseResponseLatency QueryRequests QueryRequestsNoTLS QueryRequestsTLS
        QueryResponseLatency PromotionTier DatabaseInsightsAdvancedEnabled
    """,
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
        _kinds(
            percent="""
                ProvisionedConcurrencyUtilization
            """,
            count="""
                Invocations Errors DeadLetterErrors DestinationDeliveryFailures Throttles OversizedRecordCount
                ProvisionedConcurrencyInvocations ProvisionedConcurrencySpilloverInvocations
                RecursiveInvocationsDropped AsyncEventsReceived AsyncEventsDropped PolledEventCount
                FilteredOutEventCount InvokedEventCount FailedInvokeEventCount DroppedEventCount
                OnFailureDestinationDeliveredEventCount DeletedEventCount CommittedEventCount
                SignatureValidationErrors
            """,
            level="""
                Duration PostRuntimeExtensionsDuration IteratorAge OffsetLag ConcurrentExecutions AsyncEventAge
                ProvisionedConcurrentExecutions UnreservedConcurrentExecutions ClaimedAccountConcurrency
                ProvisionedPollers EstimatedConcurrency InitDuration UrlRequestCount UrlRequestLatency Url4xxCount
                Url5xxCount EventPollerUnit SocketErrorCount
            """,
        ),
        _names(
            """
                EventSourceMappingUUID ExecutedVersion FunctionName Resource
            """
        ),
    ),
    "AWS/SecretsManager": Namespace(
        'AWS Secrets Manager user guide, "Monitor AWS Secrets Manager with Amazon CloudWatch"',
        _kinds(
            level="""
                ResourceCount
            """,
        ),
        _names(
            """
                Class Resource Service Type
            """
        ),
    ),
    "AWS/Events": Namespace(
        'Amazon EventBridge user guide, "Monitoring Amazon EventBridge"',
        _kinds(
            count="""
                DeadLetterInvocations Events FailedInvocations Invocations InvocationAttempts InvocationsCreated
                InvocationsFailedToBeSentToDlq InvocationsSentToDlq MatchedEvents RetryInvocationAttempts
                SuccessfulInvocationAttempts ThrottledRules TriggeredRules PutEventsApproximateCallCount
                PutEventsApproximateFailedCount PutEventsApproximateSuccessCount PutEventsApproximateThrottledCount
                PutEventsEntriesCount PutEventsFailedEntriesCount PutPartnerEventsApproximateCallCount
                PutPartnerEventsApproximateFailedCount PutPartnerEventsApproximateSuccessCount
                PutPartnerEventsApproximateThrottledCount PutPartnerEventsEntriesCount
                PutPartnerEventsFailedEntriesCount
            """,
            level="""
                IngestionToInvocationStartLatency IngestionToInvocationSuccessLatency
                IngestionToInvocationCompleteLatency IngestiontoInvocationStartLatency PutEventsLatency
                PutEventsRequestSize PutPartnerEventsLatency
            """,
        ),
        _names(
            """
                EventBusName EventSourceName RuleName
            """
        ),
    ),
    "AWS/SNS": Namespace(
        'Amazon SNS developer guide, "Monitoring Amazon SNS topics using CloudWatch"',
        _kinds(
            count="""
                NumberOfMessagesPublished NumberOfNotificationsDelivered NumberOfNotificationsFailed
                NumberOfNotificationsFilteredOut NumberOfNotificationsFilteredOut-InvalidAttributes
                NumberOfNotificationsFilteredOut-NoMessageAttributes
                NumberOfNotificationsFilteredOut-MessageAttributes NumberOfNotificationsFilteredOut-InvalidMessageBody
                NumberOfNotificationsFilteredOut-MessageBody NumberOfNotificationsRedrivenToDlq
                NumberOfNotificationsFailedToRedriveToDlq
            """,
            level="""
                PublishSize SMSMonthToDateSpentUSD SMSSuccessRate DwellTime
            """,
        ),
        _names(
            """
                Application Application,Platform Country Platform SMSType SubscriptionArn TopicName
            """
        ),
    ),
}

LITTLE_IS_BAD = _names(
    """
    AvailableMemory BufferCacheHitRatio BurstBalance CPUCreditBalance EBSByteBalance% EBSIOBalance% FreeLocalStorage
    FreeMemory FreeStorageSpace FreeStorageSpaceLogVolume FreeableMemory
    """
)
MUCH_IS_BAD = _names(
    """
    AuroraReplicaLag CDCLatencySource CDCLatencyTarget CPUUtilization DeadLetterErrors Deadlocks DiskQueueDepth
    Errors FailedInvocations IteratorAge MaximumUsedTransactionIDs NumberOfNotificationsFailed
    OldestReplicationSlotLag ReadLatency ReplicaLag ReplicationSlotDiskUsage SwapUsage Throttles WriteLatency
    """
)
MUST_KEEP_COMING = _names(
    """
    CDCIncomingChanges CDCLatencySource CDCLatencyTarget CDCThroughputRowsSource CDCThroughputRowsTarget
    """
)
"""Metrics of a running DMS task: they stop when the task does, so their absence is the bad news."""
