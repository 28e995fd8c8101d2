metadata description = 'The private network of a hospital: subnets for the apps, the job and the private endpoints, their DNS, one way out.'

@description('Name of the network.')
param name string
@description('Region.')
param location string
@description('Tags.')
param tags object
@description('Address space, /23 or wider; agree it with the hospital\'s network.')
param addressPrefix string

@description('Private DNS zones of Azure Monitor besides that of blobs.')
param monitorZones string[]

// What the apps and the job need outside: tokens, telemetry, the platform's own images. Apps also call Resource Manager
// and Communication Services, which have no narrower name. A model that somebody poisoned has nowhere to send images to.
var platformTags = [
  'AzureActiveDirectory'
  'AzureFrontDoor.FirstParty'
  'AzureMonitor'
  'MicrosoftContainerRegistry'
]
var wayOut = {
  apps: [...platformTags, 'AzureCloud']
  job: platformTags
  endpoints: []
}
var noWayIn = [
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
  ...monitorZones
]

resource guard 'Microsoft.Network/networkSecurityGroups@2025-05-01' = [
  for kind in items(wayOut): {
    name: '${name}-${kind.key}'
    location: location
    tags: tags
    properties: {
      securityRules: concat(
        noWayIn,
        map(range(0, length(kind.value)), i => {
          name: 'to-${kind.value[i]}'
          properties: {
            description: 'What the platform needs.'
            priority: 200 + i
            direction: 'Outbound'
            access: 'Allow'
            protocol: 'Tcp'
            sourceAddressPrefix: 'VirtualNetwork'
            sourcePortRange: '*'
            destinationAddressPrefix: kind.value[i]
            destinationPortRange: '443'
          }
        }),
        [
          {
            name: 'no-way-out-to-internet'
            properties: {
              description: 'Nothing in this network calls the Internet.'
              priority: 4000
              direction: 'Outbound'
              access: 'Deny'
              protocol: '*'
              sourceAddressPrefix: '*'
              sourcePortRange: '*'
              destinationAddressPrefix: 'Internet'
              destinationPortRange: '*'
            }
          }
        ]
      )
    }
  }
]
// New subnets have no way out of their own: one address, which a hospital's firewall can know, serves all.
resource address 'Microsoft.Network/publicIPAddresses@2025-05-01' = {
  name: '${name}-out'
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: { publicIPAllocationMethod: 'Static' }
}

resource gateway 'Microsoft.Network/natGateways@2025-05-01' = {
  name: '${name}-out'
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: {
    publicIpAddresses: [{ id: address.id }]
    idleTimeoutInMinutes: 4
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
          networkSecurityGroup: {
            id: resourceId(
              'Microsoft.Network/networkSecurityGroups',
              '${name}-${delegated[i] == 'job' ? 'job' : 'apps'}'
            )
          }
          natGateway: { id: gateway.id }
          defaultOutboundAccess: false
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
            networkSecurityGroup: { id: resourceId('Microsoft.Network/networkSecurityGroups', '${name}-endpoints') }
            defaultOutboundAccess: false
            privateEndpointNetworkPolicies: 'Enabled'
          }
        }
      ]
    )
  }
  dependsOn: [guard]
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
