metadata description = 'The Static Web App: files only. The browser signs in by itself and calls api and identity.'

@description('Name of the app.')
param name string
@description('Region of its control plane (Static Web Apps are offered in few).')
param location string
@description('Tags.')
param tags object
@description('Plan.')
param plan ('Free' | 'Standard')

resource portal 'Microsoft.Web/staticSites@2025-03-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'portal' })
  sku: { name: plan, tier: plan }
  properties: {
    allowConfigFileUpdates: true
    stagingEnvironmentPolicy: 'Disabled'
  }
}

@description('Address of the portal.')
output url string = 'https://${portal.properties.defaultHostname}'
