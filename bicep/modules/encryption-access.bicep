metadata description = 'The right that storage and Cosmos DB need before they can be made with the customer\'s key.'

import { roleGuid } from 'types.bicep'

@description('Name of the key vault.')
param vaultName string
@description('Name of the key.')
param keyName string
@description('Name of the identity that encrypts.')
param identityName string

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: vaultName

  resource key 'keys' existing = {
    name: keyName
  }
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource mayWrap 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault::key
  name: guid(vault::key.id, identityName, 'keyUnwrapper')
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleGuid('keyUnwrapper', resourceGroup().id)
    )
    description: 'Storage and Cosmos DB encrypt with the customer\'s key.'
  }
}
