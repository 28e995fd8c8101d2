metadata description = 'One storage account with its containers, queues, lifecycle and private endpoints. Shared keys are off.'

import { CustomerKey, Diagnostics, Network } from 'types.bicep'

@description('Name of the account.')
param name string
@description('Region.')
param location string
@description('Tags.')
param tags object
@description('Containers to make.')
param containers string[]
@description('Queues to make.')
param queues string[] = []
@description('Copies over availability zones.')
param zoneRedundant bool
@description('Days that deleted blobs and containers can be brought back; 0 for none.')
param softDeleteDays int
@description('Keep earlier versions of blobs. Versions of an erased record would live on, so only what is never erased has them.')
param versioning bool = false
@description('Days that no blob can be changed or deleted; 0 for none. Append blobs may still grow.')
param immutableDays int = 0
@description('Locked cannot be shortened or removed by anyone until the days are over, and needs a first deployment with Unlocked.')
param immutability ('Unlocked' | 'Locked') = 'Unlocked'
@description('Origins whose scripts may use blobs through a SAS address.')
param corsOrigins string[] = []
@description('What they may do: read, or put what they upload.')
param corsMethods ('GET' | 'HEAD' | 'PUT')[] = ['GET', 'HEAD']
@description('Lifecycle rules.')
param lifecycle array = []
@description('How the account may be reached.')
param network Network
@description('Reached by allowed ranges and by trusted services (Event Grid); else by private endpoints alone.')
param reachable bool = false
@description('Services that get a private endpoint.')
param endpoints ('blob' | 'queue' | 'table')[] = ['blob']
@description('Encryption key of the customer.')
param customerKey CustomerKey
@description('What of the blob service is logged where.')
param diagnostics Diagnostics?

var usesCustomerKey = !empty(customerKey.keyName)
var corsRules = empty(corsOrigins)
  ? []
  : [
      {
        allowedOrigins: corsOrigins
        allowedMethods: concat(corsMethods, ['OPTIONS'])
        allowedHeaders: ['range', 'x-ms-version', 'x-ms-blob-type', 'content-type', 'if-none-match']
        exposedHeaders: ['content-length', 'content-range', 'etag']
        maxAgeInSeconds: 3600
      }
    ]

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS'
  }
  identity: usesCustomerKey
    ? {
        type: 'UserAssigned'
        userAssignedIdentities: {
          '${customerKey.identityId}': {}
        }
      }
    : { type: 'None' }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: network.private && !reachable ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: network.private && !reachable ? 'None' : 'AzureServices'
      defaultAction: network.private ? 'Deny' : 'Allow'
      ipRules: [
        for range in (network.private && reachable ? network.allowedRanges : []): {
          value: range
          action: 'Allow'
        }
      ]
      virtualNetworkRules: []
    }
    encryption: {
      keySource: usesCustomerKey ? 'Microsoft.Keyvault' : 'Microsoft.Storage'
      requireInfrastructureEncryption: true
      identity: usesCustomerKey ? { userAssignedIdentity: customerKey.identityId } : null
      keyvaultproperties: usesCustomerKey ? { keyvaulturi: customerKey.vaultUri, keyname: customerKey.keyName } : null
      services: {
        blob: { enabled: true, keyType: 'Account' }
        file: { enabled: true, keyType: 'Account' }
        queue: { enabled: true, keyType: 'Account' }
        table: { enabled: true, keyType: 'Account' }
      }
    }
    immutableStorageWithVersioning: immutableDays == 0
      ? null
      : {
          enabled: true
          immutabilityPolicy: {
            allowProtectedAppendWrites: true
            immutabilityPeriodSinceCreationInDays: immutableDays
            state: immutability
          }
        }
    sasPolicy: {
      expirationAction: 'Log'
      sasExpirationPeriod: '7.00:00:00'
    }
  }
}

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    isVersioningEnabled: versioning
    deleteRetentionPolicy: softDeleteDays == 0
      ? { enabled: false }
      : { enabled: true, days: softDeleteDays, allowPermanentDelete: false }
    containerDeleteRetentionPolicy: softDeleteDays == 0 ? { enabled: false } : { enabled: true, days: softDeleteDays }
    cors: { corsRules: corsRules }
  }
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = [
  for item in containers: {
    parent: blobService
    name: item
    properties: {
      publicAccess: 'None'
    }
  }
]

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-01-01' = if (!empty(queues)) {
  parent: account
  name: 'default'
}

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-01-01' = [
  for item in queues: {
    parent: queueService
    name: item
  }
]

resource policy 'Microsoft.Storage/storageAccounts/managementPolicies@2025-01-01' = if (!empty(lifecycle)) {
  parent: account
  name: 'default'
  properties: {
    policy: { rules: lifecycle }
  }
  dependsOn: [blobService]
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (diagnostics != null) {
  scope: blobService
  name: 'security'
  properties: {
    workspaceId: diagnostics!.workspaceId
    logs: [
      for category in diagnostics!.categories: {
        category: category
        enabled: true
      }
    ]
  }
}

module endpoint 'private-endpoint.bicep' = [
  for service in (network.private ? endpoints : []): {
    name: '${name}-${service}-endpoint'
    params: {
      name: '${name}-${service}'
      location: location
      tags: tags
      targetId: account.id
      groupId: service
      zones: ['privatelink.${service}.${environment().suffixes.storage}']
      subnetId: network.endpointSubnetId
    }
  }
]

@description('Resource id of the account.')
output id string = account.id
@description('Name of the account.')
output name string = account.name
@description('Address of the blob service.')
output blobUri string = account.properties.primaryEndpoints.blob
@description('Address of the queue service.')
output queueUri string = account.properties.primaryEndpoints.queue
@description('Address of the table service.')
output tableUri string = account.properties.primaryEndpoints.table
