metadata description = 'One Functions app on Flex Consumption with its plan and host account. No key, no connection string, no publishing password.'

import { Network } from 'types.bicep'

@description('Which app: intake, api or identity.')
param app ('intake' | 'api' | 'identity')
@description('Name of the app and its plan.')
param name string
@description('Name of its host account.')
param hostAccount string
@description('Region.')
param location string
@description('Tags.')
param tags object
@description('Name of its identity.')
param identityName string
@description('The stores that the app uses: prefix of their settings, address of blobs, address of queues where it needs them.')
param stores { name: string, blobUri: string, queueUri: string? }[]
@description('App settings besides those of the host and the stores.')
param settings object
@description('Origins that browsers may call from; empty for an app without a public surface.')
param corsOrigins string[]
@description('Memory of an instance in MB.')
param memoryMB (512 | 2048 | 4096)
@description('Most instances at once.')
param maximumInstances int
@description('Spread over availability zones.')
param zoneRedundant bool
@description('How the app may be reached.')
param network Network
@description('Subnet of its way out; empty for none.')
param subnetId string
@description('Application Insights.')
param insightsConnectionString string

var package = 'app-package'
var storeSettings = flatten(map(
  stores,
  store =>
    concat(
      [
        { name: '${store.name}__blobServiceUri', value: store.blobUri }
        { name: '${store.name}__credential', value: 'managedidentity' }
        { name: '${store.name}__clientId', value: identity.properties.clientId }
      ],
      contains(store, 'queueUri') ? [{ name: '${store.name}__queueServiceUri', value: store.?queueUri }] : []
    )
))
var hostSettings = [
  { name: 'AzureWebJobsStorage__blobServiceUri', value: host.properties.primaryEndpoints.blob }
  { name: 'AzureWebJobsStorage__queueServiceUri', value: host.properties.primaryEndpoints.queue }
  { name: 'AzureWebJobsStorage__tableServiceUri', value: host.properties.primaryEndpoints.table }
  { name: 'AzureWebJobsStorage__credential', value: 'managedidentity' }
  { name: 'AzureWebJobsStorage__clientId', value: identity.properties.clientId }
  { name: 'APPLICATIONINSIGHTS_CONNECTION_STRING', value: insightsConnectionString }
  {
    name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING'
    value: 'ClientId=${identity.properties.clientId};Authorization=AAD'
  }
  { name: 'PYTHON_SCRIPT_FILE_NAME', value: 'main.py' }
  { name: 'AZURE_CLIENT_ID', value: identity.properties.clientId }
  { name: 'READFIRST_APPS', value: app }
]

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource host 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: hostAccount
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource site 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': app })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identity.id}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    keyVaultReferenceIdentity: identity.id
    publicNetworkAccess: network.private ? 'Disabled' : 'Enabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${host.properties.primaryEndpoints.blob}${package}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      runtime: { name: 'python', version: '3.11' }
      scaleAndConcurrency: {
        instanceMemoryMB: memoryMB
        maximumInstanceCount: maximumInstances
      }
    }
    siteConfig: {
      appSettings: concat(
        hostSettings,
        storeSettings,
        map(items(settings), item => { name: item.key, value: item.value })
      )
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
      ftpsState: 'Disabled'
      remoteDebuggingEnabled: false
      cors: empty(corsOrigins) ? null : { allowedOrigins: corsOrigins, supportCredentials: false }
      // An app without a public surface answers nobody; its deployment site still asks for an Entra token.
      ipSecurityRestrictionsDefaultAction: empty(corsOrigins) ? 'Deny' : 'Allow'
      scmIpSecurityRestrictionsUseMain: false
      scmIpSecurityRestrictionsDefaultAction: 'Allow'
    }
  }

  resource noFtpPassword 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }

  resource noScmPassword 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }
}

module endpoint 'private-endpoint.bicep' = if (network.private) {
  name: '${name}-endpoint'
  params: {
    name: name
    location: location
    tags: tags
    targetId: site.id
    groupId: 'sites'
    zones: ['privatelink.azurewebsites.net']
    subnetId: network.endpointSubnetId
  }
}

@description('Resource id of the app.')
output id string = site.id
@description('Name of the app.')
output name string = site.name
@description('Address of the app.')
output url string = 'https://${site.properties.defaultHostName}'
