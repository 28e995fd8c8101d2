metadata description = 'Alerts: platform metrics in every profile, log searches where the profile pays for them. docs/operator/runbook.md has a chapter for each.'

@description('Prefix of the names.')
param prefix string
@description('Region.')
param location string
@description('Tags.')
param tags object
@description('Who is told.')
param email string
@description('Log-search rules too.')
param logAlerts bool
@description('Application Insights.')
param insightsId string
@description('Workspace of operations.')
param operationsId string
@description('Workspace of security logs.')
param securityId string
@description('Storage account of the vault.')
param vaultAccountId string
@description('Key vault.')
param keyVaultId string
@description('Name of the job.')
param jobName string
@description('GPU minutes within an hour that nobody expects.')
param gpuMinutesPerHour int = 45
@description('Identities opened within an hour that nobody expects.')
param vaultReadsPerHour int = 200
@description('Refused requests within five minutes that look like an attack.')
param refusedPerFiveMinutes int = 50

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: '${prefix}-people'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'readfirst'
    enabled: true
    emailReceivers: [{ name: 'operator', emailAddress: email, useCommonAlertSchema: true }]
  }
}

var metricAlerts = [
  {
    name: 'failed-requests'
    scope: insightsId
    description: 'A function failed: a study may be parked as failed. Runbook: failed studies.'
    namespace: 'microsoft.insights/components'
    metric: 'requests/failed'
    aggregation: 'Count'
    operator: 'GreaterThan'
    threshold: 5
    dimensions: []
    severity: 2
  }
  {
    name: 'vault-reads'
    scope: vaultAccountId
    description: 'Many identities were read. Runbook: vault reads.'
    namespace: 'Microsoft.Storage/storageAccounts'
    metric: 'Transactions'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: vaultReadsPerHour
    dimensions: [{ name: 'ApiName', operator: 'Include', values: ['GetBlob'] }]
    severity: 1
  }
  {
    name: 'vault-refused'
    scope: vaultAccountId
    description: 'Somebody without the right tried to reach identities. Runbook: refused requests.'
    namespace: 'Microsoft.Storage/storageAccounts'
    metric: 'Transactions'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: 5
    dimensions: [{ name: 'ResponseType', operator: 'Include', values: ['AuthorizationError', 'AuthenticationError'] }]
    severity: 1
  }
  {
    name: 'keys-refused'
    scope: keyVaultId
    description: 'Somebody without the right tried to use a key or a secret. Runbook: refused requests.'
    namespace: 'Microsoft.KeyVault/vaults'
    metric: 'ServiceApiResult'
    aggregation: 'Count'
    operator: 'GreaterThan'
    threshold: 10
    dimensions: [{ name: 'StatusCode', operator: 'Include', values: ['403'] }]
    severity: 1
  }
]

resource metricAlert 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for item in metricAlerts: {
    name: '${prefix}-${item.name}'
    location: 'global'
    tags: tags
    properties: {
      description: item.description
      enabled: true
      severity: item.severity
      scopes: [item.scope]
      evaluationFrequency: 'PT15M'
      windowSize: 'PT1H'
      autoMitigate: true
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: item.name
            metricNamespace: item.namespace
            metricName: item.metric
            timeAggregation: item.aggregation
            operator: item.operator
            threshold: item.threshold
            dimensions: item.dimensions
            skipMetricValidation: true
          }
        ]
      }
      actions: [{ actionGroupId: people.id }]
    }
  }
]

// Queries name no person: tokens, counts and codes are all that the logs hold.
var queries = !logAlerts
  ? []
  : [
      {
        name: 'failed-studies'
        on: operationsId
        description: 'A study was parked as failed. Runbook: failed studies.'
        query: 'AppTraces | where Message startswith "study failed"'
        threshold: 0
        minutes: 15
        severity: 2
      }
      {
        name: 'alerts-not-delivered'
        on: operationsId
        description: 'The e-mail for a high-risk study has not gone out for ten minutes. Runbook: alerts not delivered.'
        query: 'AppTraces | where Message startswith "alert not delivered"'
        threshold: 0
        minutes: 15
        severity: 0
      }
      {
        name: 'poison-messages'
        on: operationsId
        description: 'A message failed for eight hours or cannot be read, an upload was set aside, or an inbox cannot be listed. Runbook: poison messages.'
        query: 'AppTraces | where Message has "Message has reached MaxDequeueCount" or Message startswith "message parked" or Message startswith "upload set aside" or Message startswith "inbox not listed"'
        threshold: 0
        minutes: 15
        severity: 2
      }
      {
        name: 'stuck-jobs'
        on: operationsId
        description: 'Studies wait for an answer past their deadline, or a job hung. Runbook: stuck jobs.'
        query: 'AppTraces | where Message matches regex "^(study failed: (late|deadline|no-gpu-quota|image-pull-failed|out-of-memory|job-hung|job-not-started|job-not-seen|job-failed)|job execution stopped)"'
        threshold: 0
        minutes: 15
        severity: 1
      }
      {
        name: 'gpu-minutes'
        on: operationsId
        description: 'The job runs more than a burst of studies explains. Runbook: GPU minutes.'
        // Time between lines, not lines: a job that works says little. A longer silence than the watchdog allows is a pause.
        query: 'ContainerAppConsoleLogs | where JobName startswith "${jobName}" | sort by TimeGenerated asc | extend Gap = datetime_diff("second", TimeGenerated, prev(TimeGenerated)) | where Gap <= 900 | summarize Minutes = sum(Gap) / 60.0'
        column: 'Minutes'
        threshold: gpuMinutesPerHour
        minutes: 60
        severity: 2
      }
      {
        name: 'refused-callers'
        on: operationsId
        description: 'Many callers without a valid token. Runbook: refused requests.'
        query: 'AppRequests | where ResultCode in ("401", "403")'
        threshold: refusedPerFiveMinutes
        minutes: 5
        severity: 2
      }
      {
        name: 'keys-near-expiry'
        on: operationsId
        description: 'A key expires within 30 days although its policy should have rotated it. Runbook: keys near expiry.'
        query: 'AppTraces | where Message startswith "key near expiry"'
        threshold: 0
        minutes: 15
        severity: 1
      }
      {
        name: 'log-cap'
        on: operationsId
        description: 'The operations workspace reached its daily cap: log alerts are blind until tomorrow. Runbook: log cap.'
        query: '_LogOperation | where Category =~ "Ingestion" and Detail has "OverQuota"'
        threshold: 0
        minutes: 15
        severity: 1
      }
      {
        name: 'vault-outsiders'
        on: securityId
        description: 'Identities were read by another principal than the two apps. Runbook: vault reads.'
        query: 'StorageBlobLogs | where StatusCode < 400 and AuthenticationType !in ("OAuth", "TrustedAccess")'
        threshold: 0
        minutes: 15
        severity: 0
      }
    ]

resource logAlert 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for item in queries: {
    name: '${prefix}-${item.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: item.name
      description: item.description
      enabled: true
      severity: item.severity
      scopes: [item.on]
      evaluationFrequency: item.minutes == 60 ? 'PT15M' : 'PT${item.minutes}M'
      windowSize: item.minutes == 60 ? 'PT1H' : 'PT${item.minutes}M'
      skipQueryValidation: true // the tables appear with their first record
      autoMitigate: true
      criteria: {
        allOf: [
          {
            query: item.query
            metricMeasureColumn: item.?column
            timeAggregation: contains(item, 'column') ? 'Maximum' : 'Count'
            operator: 'GreaterThan'
            threshold: item.threshold
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      actions: { actionGroups: [people.id] }
    }
  }
]

@description('Who is told.')
output actionGroupId string = people.id
