metadata description = 'The private network of a hospital: subnets for the apps, the job and the private endpoints, and their DNS.'

@description('Name of the network.')
param name string
@description('Region.')
param location string
@description('Tags.')
param tags object
@description('Address space, /23 or wider; agree it with the hospital\'s network.')
param addressPrefix string

// The apps and the job live on Container Apps' machines: one delegation serves both. Each app has its own subnet, so
// that a firewall can tell them apart.
var delegated = ['intake', 'api', 'identity', 'job']
var zones = [
  'privatelink.blob.${environment().suffixes.storage}'
  'privatelink.queue.${environment().suffixes.storage}'
  'privatelink.table.${environment().suffixes.storage}'
  'privatelink.vaultcore.azure.net'
  'privatelink.documents.azure.com'
  'privatelink.azurewebsites.net'
  'privatelink${environment().suffixes.acrLoginServer}'
]

resource guard 'Microsoft.Network/networkSecurityGroups@2025-05-01' = {
  name: '${name}-guard'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'no-way-in-from-internet'
        properties: {
          description: 'Nothing in this network answers the Internet.'
          priority: 100
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: 'Internet'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    subnets: concat(
      map(range(0, length(delegated)), i => {
        name: delegated[i]
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 26, i)
          networkSecurityGroup: { id: guard.id }
          delegations: [
            {
              name: 'container-apps'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        }
      }),
      [
        {
          name: 'endpoints'
          properties: {
            addressPrefix: cidrSubnet(addressPrefix, 26, length(delegated))
            networkSecurityGroup: { id: guard.id }
            privateEndpointNetworkPolicies: 'Enabled'
          }
        }
      ]
    )
  }
}

resource dns 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for zone in zones: {
    name: zone
    location: 'global'
    tags: tags
  }
]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (zone, i) in zones: {
    parent: dns[i]
    name: name
    location: 'global'
    properties: {
      virtualNetwork: { id: network.id }
      registrationEnabled: false
    }
  }
]
