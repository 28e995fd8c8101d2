metadata description = 'One private endpoint and its records in private DNS zones.'

@description('Name of the endpoint.')
param name string
@description('Region.')
param location string
@description('Tags.')
param tags object
@description('Resource that is reached.')
param targetId string
@description('Its sub-resource: blob, vault, Sql, sites, registry.')
param groupId string
@description('Private DNS zones, in this resource group.')
param zones string[]
@description('Subnet that the endpoint lives in.')
param subnetId string

resource dnsZone 'Microsoft.Network/privateDnsZones@2024-06-01' existing = [
  for zone in zones: {
    name: zone
  }
]

resource endpoint 'Microsoft.Network/privateEndpoints@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    customNetworkInterfaceName: '${name}-nic'
    privateLinkServiceConnections: [
      {
        name: name
        properties: {
          privateLinkServiceId: targetId
          groupIds: [groupId]
        }
      }
    ]
  }

  resource record 'privateDnsZoneGroups' = {
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        for (zone, i) in zones: {
          name: replace(zone, '.', '-')
          properties: { privateDnsZoneId: dnsZone[i].id }
        }
      ]
    }
  }
}
