metadata description = 'Key Vault: the two key-encryption keys with their rotation policy, the secrets\' home, a lock, its audit log.'

import { Network } from 'types.bicep'

@description('Name of the vault.')
param name string
@description('Region.')
param location string
@description('Tags.')
param tags object
@description('Keys that wrap: rotated every half year; a function re-wraps what they wrapped.')
param keys string[]
@description('Name of the key that encrypts storage and Cosmos DB; empty for none.')
param customerKeyName string
@description('The vault was deleted, and purge protection keeps it: bring it back with its keys.')
param recover bool
@description('How the vault may be reached.')
param network Network
@description('Workspace of the security logs.')
param securityWorkspaceId string

var rotation = {
  attributes: { expiryTime: 'P2Y' }
  lifetimeActions: [
    {
      action: { type: 'rotate' }
      trigger: { timeAfterCreate: 'P180D' }
    }
    {
      action: { type: 'notify' }
      trigger: { timeBeforeExpiry: 'P30D' }
    }
  ]
}

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    createMode: recover ? 'recover' : 'default'
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
    enabledForDeployment: false
    enabledForDiskEncryption: false
    enabledForTemplateDeployment: false
    publicNetworkAccess: network.private ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices' // customer-managed keys of storage and Cosmos DB
      defaultAction: network.private ? 'Deny' : 'Allow'
      ipRules: []
      virtualNetworkRules: []
    }
  }
}

resource wrapping 'Microsoft.KeyVault/vaults/keys@2025-05-01' = [
  for key in keys: {
    parent: vault
    name: key
    properties: {
      kty: 'RSA'
      keySize: 3072
      keyOps: ['wrapKey', 'unwrapKey']
      rotationPolicy: rotation
    }
  }
]

resource customer 'Microsoft.KeyVault/vaults/keys@2025-05-01' = if (!empty(customerKeyName)) {
  parent: vault
  name: empty(customerKeyName) ? 'none' : customerKeyName
  properties: {
    kty: 'RSA'
    keySize: 3072
    keyOps: ['wrapKey', 'unwrapKey']
    rotationPolicy: rotation
  }
}

resource lock 'Microsoft.Authorization/locks@2020-05-01' = {
  scope: vault
  name: 'keep'
  properties: {
    level: 'CanNotDelete'
    notes: 'Without its keys no identity can be read and no pseudonym made again.'
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'security'
  properties: {
    workspaceId: securityWorkspaceId
    logs: [
      {
        category: 'AuditEvent'
        enabled: true
      }
    ]
  }
}

module endpoint 'private-endpoint.bicep' = if (network.private) {
  name: '${name}-endpoint'
  params: {
    name: name
    location: location
    tags: tags
    targetId: vault.id
    groupId: 'vault'
    zones: ['privatelink.vaultcore.azure.net']
    subnetId: network.endpointSubnetId
  }
}

@description('Resource id of the vault.')
output id string = vault.id
@description('Address of the vault.')
output uri string = vault.properties.vaultUri
