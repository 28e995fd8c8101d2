metadata description = 'A registry of one\'s own for the job\'s image. Nobody signs in with a password; only the job pulls.'

import { Network } from 'types.bicep'

@description('Name of the registry.')
param name string
@description('Region.')
param location string
@description('Tags.')
param tags object
@description('Plan. Premium has private endpoints and customer-managed keys.')
param plan ('Basic' | 'Premium')
@description('Spread over availability zones (Premium).')
param zoneRedundant bool
@description('How the registry may be reached.')
param network Network

var premium = plan == 'Premium'

resource registry 'Microsoft.ContainerRegistry/registries@2025-04-01' = {
  name: name
  location: location
  tags: tags
  sku: { name: plan }
  properties: {
    adminUserEnabled: false
    anonymousPullEnabled: false
    dataEndpointEnabled: premium
    publicNetworkAccess: network.private ? 'Disabled' : 'Enabled'
    networkRuleBypassOptions: 'AzureServices'
    zoneRedundancy: premium && zoneRedundant ? 'Enabled' : 'Disabled'
    policies: {
      azureADAuthenticationAsArmPolicy: { status: 'enabled' }
      retentionPolicy: premium ? { status: 'enabled', days: 30 } : null
    }
  }
}

module endpoint 'private-endpoint.bicep' = if (network.private) {
  name: '${name}-endpoint'
  params: {
    name: name
    location: location
    tags: tags
    targetId: registry.id
    groupId: 'registry'
    zones: ['privatelink${environment().suffixes.acrLoginServer}']
    subnetId: network.endpointSubnetId
  }
}

@description('Where images are pushed to and pulled from.')
output loginServer string = registry.properties.loginServer
