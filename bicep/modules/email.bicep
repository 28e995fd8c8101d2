metadata description = 'Communication Services with an e-mail domain: alerts leave by managed identity, without a key.'

@description('Name of the service that sends; no other in Azure may have it.')
param name string
@description('Name of the service that holds the domains; no other in Azure may have it.')
param emailName string
@description('Tags.')
param tags object
@description('Where the service keeps its data at rest, for example Europe.')
param dataLocation string
@description('A domain of one\'s own (its DNS records are set by hand); empty for a domain of Azure, 10 messages an hour.')
param domainName string
@description('The DNS records of the domain are verified. A domain that is not cannot be linked: Azure\'s sends until then.')
param domainVerified bool

var ownDomain = !empty(domainName)
var usesOwn = ownDomain && domainVerified

resource service 'Microsoft.Communication/emailServices@2025-09-01' = {
  name: emailName
  location: 'global'
  tags: tags
  properties: { dataLocation: dataLocation }
}

resource azures 'Microsoft.Communication/emailServices/domains@2025-09-01' = {
  parent: service
  name: 'AzureManagedDomain'
  location: 'global'
  tags: tags
  properties: {
    domainManagement: 'AzureManaged'
    userEngagementTracking: 'Disabled'
  }
}

resource own 'Microsoft.Communication/emailServices/domains@2025-09-01' = if (ownDomain) {
  parent: service
  name: ownDomain ? domainName : 'none'
  location: 'global'
  tags: tags
  properties: {
    domainManagement: 'CustomerManaged'
    userEngagementTracking: 'Disabled'
  }
}

resource communication 'Microsoft.Communication/communicationServices@2025-09-01' = {
  name: name
  location: 'global'
  tags: tags
  properties: {
    dataLocation: dataLocation
    linkedDomains: [usesOwn ? own.id : azures.id]
  }
}

@description('Address of the service.')
output endpoint string = 'https://${communication.properties.hostName}'
@description('From whom the messages come.')
output sender string = usesOwn ? 'DoNotReply@${domainName}' : 'DoNotReply@${azures.properties.fromSenderDomain}'
@description('Name of the service that sends.')
output name string = communication.name
