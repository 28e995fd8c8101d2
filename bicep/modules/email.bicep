metadata description = 'Communication Services with an e-mail domain: alerts leave by managed identity, without a key.'

@description('Prefix of the names.')
param prefix string
@description('Tags.')
param tags object
@description('Where the service keeps its data at rest, for example Europe.')
param dataLocation string
@description('A domain of one\'s own (its DNS records are set by hand); empty for a domain of Azure, 10 messages an hour.')
param domainName string

var ownDomain = !empty(domainName)

resource service 'Microsoft.Communication/emailServices@2025-09-01' = {
  name: '${prefix}-email'
  location: 'global'
  tags: tags
  properties: { dataLocation: dataLocation }

  resource domain 'domains' = {
    name: ownDomain ? domainName : 'AzureManagedDomain'
    location: 'global'
    tags: tags
    properties: {
      domainManagement: ownDomain ? 'CustomerManaged' : 'AzureManaged'
      userEngagementTracking: 'Disabled'
    }
  }
}

resource communication 'Microsoft.Communication/communicationServices@2025-09-01' = {
  name: '${prefix}-mail'
  location: 'global'
  tags: tags
  properties: {
    dataLocation: dataLocation
    linkedDomains: [service::domain.id]
  }
}

@description('Address of the service.')
output endpoint string = 'https://${communication.properties.hostName}'
@description('From whom the messages come.')
output sender string = 'DoNotReply@${service::domain.properties.fromSenderDomain}'
@description('Name of the service that sends.')
output name string = communication.name
