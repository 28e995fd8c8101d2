metadata description = 'One private endpoint and its record in the private DNS zone.'

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
@description('Private DNS zone, in this resource group.')
param zone string
@description('Subnet that the endpoint lives in.')
param subnetId string

resource dnsZone 'Microsoft.Network/privateDnsZones@2024-06-01' existing = {
  name: zone
}

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
        {
          name: replace(zone, '.', '-')
          properties: { privateDnsZoneId: dnsZone.id }
        }
      ]
    }
  }
}
