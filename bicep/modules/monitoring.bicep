metadata description = 'Two workspaces (operations with a cap, security without) and Application Insights, which takes no key.'

import { Network } from 'types.bicep'

@description('Prefix of the names.')
param prefix string
@description('Region.')
param location string
@description('Tags.')
param tags object
@description('GB a day into the operations workspace; -1 for no cap.')
param logCapGb int
@description('Days that security logs are kept.')
param securityLogDays int
@description('How telemetry may come in.')
param network Network
@description('Private DNS zones of Azure Monitor, that of blobs included.')
param zones string[]

// Queries stay reachable: they need an Entra token, and the alert rules are the platform's own.
var ingestion = network.private ? 'Disabled' : 'Enabled'

resource operations 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: '${prefix}-operations'
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: 30
    workspaceCapping: { dailyQuotaGb: logCapGb }
    publicNetworkAccessForIngestion: ingestion
    publicNetworkAccessForQuery: 'Enabled'
    features: { disableLocalAuth: true, enableLogAccessUsingOnlyResourcePermissions: true }
  }
}

resource security 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: '${prefix}-security'
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: securityLogDays
    publicNetworkAccessForIngestion: ingestion
    publicNetworkAccessForQuery: 'Enabled'
    features: { disableLocalAuth: true, enableLogAccessUsingOnlyResourcePermissions: false }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: '${prefix}-insights'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: operations.id
    DisableLocalAuth: true
    IngestionMode: 'LogAnalytics'
    publicNetworkAccessForIngestion: ingestion
    publicNetworkAccessForQuery: 'Enabled'
  }
}

// PrivateOnly: from inside the network, telemetry reaches these three and nobody else's.
resource scope 'microsoft.insights/privateLinkScopes@2021-07-01-preview' = if (network.private) {
  name: '${prefix}-monitor'
  location: 'global'
  tags: tags
  properties: {
    accessModeSettings: { ingestionAccessMode: 'PrivateOnly', queryAccessMode: 'Open', exclusions: [] }
  }
}

resource operationsInScope 'microsoft.insights/privateLinkScopes/scopedResources@2021-07-01-preview' = if (network.private) {
  parent: scope
  name: operations.name
  properties: { linkedResourceId: operations.id }
}

resource securityInScope 'microsoft.insights/privateLinkScopes/scopedResources@2021-07-01-preview' = if (network.private) {
  parent: scope
  name: security.name
  properties: { linkedResourceId: security.id }
}

resource insightsInScope 'microsoft.insights/privateLinkScopes/scopedResources@2021-07-01-preview' = if (network.private) {
  parent: scope
  name: insights.name
  properties: { linkedResourceId: insights.id }
}

module endpoint 'private-endpoint.bicep' = if (network.private) {
  name: '${prefix}-monitor-endpoint'
  params: {
    name: '${prefix}-monitor'
    location: location
    tags: tags
    targetId: scope.id
    groupId: 'azuremonitor'
    zones: zones
    subnetId: network.endpointSubnetId
  }
  dependsOn: [operationsInScope, securityInScope, insightsInScope]
}

@description('Workspace of operations.')
output operationsId string = operations.id
@description('Workspace of security logs.')
output securityId string = security.id
@description('Application Insights.')
output insightsId string = insights.id
@description('Name of Application Insights.')
output insightsName string = insights.name
@description('Where telemetry goes. It names the resource and opens nothing: ingestion needs an Entra token.')
output connectionString string = insights.properties.ConnectionString
