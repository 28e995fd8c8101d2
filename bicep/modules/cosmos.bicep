metadata description = 'Cosmos DB, serverless, key access off: the worklist\'s index, which reindex can rebuild from the blobs.'

import { CustomerKey, Network } from 'types.bicep'

@description('Name of the account.')
param name string
@description('Region.')
param location string
@description('Tags.')
param tags object
@description('Name of the database.')
param database string
@description('Name of the container; partition key /clinic.')
param container string
@description('What is indexed, and in which orders.')
param indexing object
@description('Spread over availability zones.')
param zoneRedundant bool
@description('How the account may be reached.')
param network Network
@description('Encryption key of the customer.')
param customerKey CustomerKey
@description('Who may read and write documents: identity names.')
param writers string[]
@description('Who may read documents and replace them, not make or delete any: identity names.')
param updaters string[]

var usesCustomerKey = !empty(customerKey.keyName)
var builtInContributor = '00000000-0000-0000-0000-000000000002'
var updaterRole = guid(name, 'updater')
var grants = concat(
  map(updaters, who => { who: who, role: updaterRole }),
  map(writers, who => { who: who, role: builtInContributor })
)

resource account 'Microsoft.DocumentDB/databaseAccounts@2025-04-15' = {
  name: name
  location: location
  tags: tags
  kind: 'GlobalDocumentDB'
  identity: usesCustomerKey
    ? {
        type: 'UserAssigned'
        userAssignedIdentities: {
          '${customerKey.identityId}': {}
        }
      }
    : { type: 'None' }
  properties: {
    databaseAccountOfferType: 'Standard'
    capabilities: [{ name: 'EnableServerless' }]
    consistencyPolicy: { defaultConsistencyLevel: 'Session' }
    locations: [
      {
        locationName: location
        failoverPriority: 0
        isZoneRedundant: zoneRedundant
      }
    ]
    disableLocalAuth: true
    disableKeyBasedMetadataWriteAccess: true
    minimalTlsVersion: 'Tls12'
    publicNetworkAccess: network.private ? 'Disabled' : 'Enabled'
    networkAclBypass: 'None'
    backupPolicy: {
      type: 'Continuous'
      continuousModeProperties: { tier: 'Continuous7Days' }
    }
    keyVaultKeyUri: usesCustomerKey ? '${customerKey.vaultUri}keys/${customerKey.keyName}' : null
    defaultIdentity: usesCustomerKey ? 'UserAssignedIdentity=${customerKey.identityId}' : 'FirstPartyIdentity'
  }

  resource sql 'sqlDatabases' = {
    name: database
    properties: {
      resource: { id: database }
    }

    resource studies 'containers' = {
      name: container
      properties: {
        resource: {
          id: container
          partitionKey: { kind: 'Hash', paths: ['/clinic'], version: 2 }
          indexingPolicy: indexing
        }
      }
    }
  }
}

resource updater 'Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions@2025-04-15' = {
  parent: account
  name: updaterRole
  properties: {
    roleName: 'Readfirst index updater'
    type: 'CustomRole'
    assignableScopes: [account.id]
    permissions: [
      {
        dataActions: [
          'Microsoft.DocumentDB/databaseAccounts/readMetadata'
          'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/executeQuery'
          'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/items/read'
          'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/items/replace'
        ]
      }
    ]
  }
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = [
  for grant in grants: {
    name: grant.who
  }
]

resource access 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-04-15' = [
  for (grant, i) in grants: {
    parent: account
    name: guid(account.id, grant.who, grant.role)
    properties: {
      principalId: identity[i].properties.principalId
      roleDefinitionId: '${account.id}/sqlRoleDefinitions/${grant.role}'
      scope: '${account.id}/dbs/${account::sql.name}'
    }
    dependsOn: [updater]
  }
]

module endpoint 'private-endpoint.bicep' = if (network.private) {
  name: '${name}-endpoint'
  params: {
    name: name
    location: location
    tags: tags
    targetId: account.id
    groupId: 'Sql'
    zones: ['privatelink.documents.azure.com']
    subnetId: network.endpointSubnetId
  }
}

@description('Address of the account.')
output endpoint string = account.properties.documentEndpoint
