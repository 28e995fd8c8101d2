metadata description = 'Two workspaces (operations with a cap, security without) and Application Insights, which takes no key.'

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

resource operations 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: '${prefix}-operations'
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: 30
    workspaceCapping: { dailyQuotaGb: logCapGb }
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
  }
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
